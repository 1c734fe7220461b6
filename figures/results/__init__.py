"""Figures of this project's own results, which no paper has; each module lists its FIGURES."""
