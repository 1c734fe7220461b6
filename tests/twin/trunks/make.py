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

from tests.twin.trunks.recipes import CONTEXT, EVERY, SCHEDULES, TRUNKS, WEIGHT_DECAY, rates


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.heads = width // 16
        self.norm1, self.norm2 = nn.RMSNorm(width), nn.RMSNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)

    def forward(self, x):
        n, t, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(n, t, 3, self.heads, 16).permute(2, 0, 3, 1, 4)
        seen = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(seen.transpose(1, 2).reshape(n, t, width))
        return x + self.down(nn.functional.gelu(self.up(self.norm2(x))))


class Decoder(nn.Module):
    def __init__(self, width, layers):
        super().__init__()
        self.bytes, self.places = nn.Embedding(256, width), nn.Embedding(CONTEXT, width)
        self.blocks = nn.Sequential(*(Block(width) for _ in range(layers)))
        self.norm, self.head = nn.RMSNorm(width), nn.Linear(width, 256, bias=False)
        for parameter in self.parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, x):
        return self.head(self.norm(self.blocks(self.bytes(x) + self.places.weight)))


def corpus():
    """The bytes of the standard library's sources: every twentieth file is held out."""
    folder = Path(sysconfig.get_path("stdlib"))
    files = [path for path in sorted(folder.rglob("*.py")) if "site-packages" not in path.parts]
    parts = [np.frombuffer(path.read_bytes(), np.uint8) for path in files]
    kept = [part for j, part in enumerate(parts) if j % 20]
    return np.concatenate(kept), np.concatenate(parts[::20])


def windows(data, starts):
    x = torch.from_numpy(data[starts[:, None] + np.arange(CONTEXT + 1)].astype(np.int64))
    return x[:, :-1], x[:, 1:]


def loss_of(model, x, y):
    return nn.functional.cross_entropy(model(x).flatten(0, 1), y.flatten())


def run(trunk, name, train, held):
    """The losses on 128 windows held out, every EVERY steps (times the trunk's `times`)."""
    own, schedule = TRUNKS[trunk], rates(trunk, name)
    torch.manual_seed(own.seed)
    model = Decoder(own.width, own.layers)
    matrices = [p for p in model.parameters() if p.dim() == 2]
    rest = [p for p in model.parameters() if p.dim() != 2]
    groups = [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95), fused=True)
    order = np.random.default_rng(own.seed).integers(0, len(train) - CONTEXT - 1, (6000 * own.times, own.batch))
    watched = windows(held, np.random.default_rng(0).integers(0, len(held) - CONTEXT - 1, 128))
    losses = []
    for t, lr in enumerate(schedule.tolist()):
        for group in optimizer.param_groups:
            group["lr"] = lr
        loss = loss_of(model, *windows(train, order[t]))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if (t + 1) % (EVERY * own.times) == 0:
            with torch.no_grad():
                losses.append(loss_of(model, *watched).item())
    return losses


def main(trunk, out):
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    train, held = corpus()
    columns = {name: run(trunk, name, train, held) for name in SCHEDULES}
    lines = [",".join(["step", *columns])]
    for j in range(max(map(len, columns.values()))):
        row = (f"{losses[j]:.5f}" if j < len(losses) else "" for losses in columns.values())
        lines.append(",".join([str((j + 1) * EVERY * TRUNKS[trunk].times), *row]))
    Path(out).write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
