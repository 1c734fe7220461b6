"""Makes the runs of `simlab.twin.example_runs` again: `python -m tests.twin.trunks.make_examples FILE`.

Needs torch. Every 20 steps the loss on the same 192 windows of files held out is written down; a run of 4,000 steps
takes a minute on one core. Those that are shipped were made with CPython 3.11.7 and torch 2.14.1; another standard
library is another data set.
"""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

import numpy as np
import torch
from torch import nn

from simlab.twin.examples import recipes
from tests.twin.trunks.decoder import CONTEXT, Decoder, trained, write

BATCH, EVERY = 16, 20


def corpus():
    """The bytes of the standard library's modules: every tenth file is held out."""
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    kept, held = bytearray(), bytearray()
    for number, file in enumerate(files):
        (held if number % 10 == 0 else kept).extend(file.read_bytes())
    return (torch.tensor(np.frombuffer(bytes(part), dtype=np.uint8).astype(np.int64)) for part in (kept, held))


def windows(data, starts):
    return torch.stack([data[i : i + CONTEXT + 1] for i in starts])


def run(schedule, train, held):
    """The losses at steps EVERY, 2 EVERY .."""
    torch.manual_seed(1)
    model = Decoder(width=48, heads=4, norm=nn.LayerNorm)
    order = np.random.default_rng(2)
    watched = windows(held, np.random.default_rng(3).integers(0, len(held) - CONTEXT - 1, 192))

    def drawn(t):
        return windows(train, order.integers(0, len(train) - CONTEXT - 1, BATCH))

    return trained(model, schedule.values(), drawn, watched, EVERY, weight_decay=0.1)


def main(out):
    torch.set_num_threads(1)
    train, held = corpus()
    write(Path(out), {name: run(schedule, train, held) for name, schedule in recipes().items()}, EVERY)


if __name__ == "__main__":
    main(sys.argv[1])
