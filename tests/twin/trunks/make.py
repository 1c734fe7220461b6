"""Makes the curves of a trunk again: `python -m tests.twin.trunks.make TRUNK FILE`.

Needs torch, and half an hour of a core for a trunk. The files here were made with CPython 3.11.7 and torch 2.14.1;
another standard library is another data set.
"""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

import numpy as np
import torch
from torch import nn

from tests.twin.trunks.decoder import CONTEXT, Decoder, trained, write
from tests.twin.trunks.recipes import AGAIN, EVERY, TRUNKS, WEIGHT_DECAY, rates, schedules_of


def corpus():
    """The bytes of the standard library's sources: every twentieth file is held out."""
    folder = Path(sysconfig.get_path("stdlib"))
    files = [path for path in sorted(folder.rglob("*.py")) if "site-packages" not in path.parts]
    parts = [np.frombuffer(path.read_bytes(), np.uint8) for path in files]
    kept = [part for j, part in enumerate(parts) if j % 20]
    return np.concatenate(kept), np.concatenate(parts[::20])


def windows(data, starts):
    return torch.from_numpy(data[starts[:, None] + np.arange(CONTEXT + 1)].astype(np.int64))


def run(trunk, name, train, held):
    """The losses on 128 windows held out, every EVERY steps (times the trunk's `times`)."""
    own, schedule = (TRUNKS | AGAIN)[trunk], rates(trunk, name)
    torch.manual_seed(own.seed)
    model = Decoder(own.width, own.width // 16, nn.RMSNorm)
    order = np.random.default_rng(own.seed).integers(0, len(train) - CONTEXT - 1, (6000 * own.times, own.batch))
    watched = windows(held, np.random.default_rng(0).integers(0, len(held) - CONTEXT - 1, 128))
    every = EVERY * own.times
    return trained(model, schedule, lambda t: windows(train, order[t]), watched, every, WEIGHT_DECAY, fused=True)


def main(trunk, out):
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    train, held = corpus()
    columns = {name: run(trunk, name, train, held) for name in schedules_of(trunk)}
    write(Path(out), columns, EVERY * (TRUNKS | AGAIN)[trunk].times)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
