"""What only sampling can do: landscapes, the noise on them, and straight valleys; `simlab.river` is the public name."""
