"""Makes the runs of `simlab.twin.example_runs` again: `python tests/twin/make_example_runs.py FILE`.

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

WINDOW, BATCH, EVERY = 64, 16, 20


def corpus():
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    kept, held = bytearray(), bytearray()
    for number, file in enumerate(files):
        (held if number % 10 == 0 else kept).extend(file.read_bytes())
    return (torch.tensor(np.frombuffer(bytes(part), dtype=np.uint8).astype(np.int64)) for part in (kept, held))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)

    def forward(self, x):
        n, t, width = x.shape
        q, k, v = self.qkv(self.first(x)).view(n, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        seen = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(seen.transpose(1, 2).reshape(n, t, width))
        return x + self.down(nn.functional.gelu(self.up(self.second(x))))


class Decoder(nn.Module):
    def __init__(self, width, layers, heads=4):
        super().__init__()
        self.bytes, self.places = nn.Embedding(256, width), nn.Embedding(WINDOW, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 256, bias=False)
        for parameter in self.parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, x):
        return self.head(self.norm(self.blocks(self.bytes(x) + self.places.weight)))


def loss_of(model, x):
    return nn.functional.cross_entropy(model(x[:, :-1]).flatten(0, 1), x[:, 1:].flatten())


def run(schedule, train, held):
    """The losses at steps EVERY, 2 EVERY .."""
    torch.manual_seed(1)
    model = Decoder(width=48, layers=2)
    matrices = [p for p in model.parameters() if p.dim() == 2]
    rest = [p for p in model.parameters() if p.dim() != 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95))
    order = np.random.default_rng(2)
    fixed = np.random.default_rng(3).integers(0, len(held) - WINDOW - 1, 192)
    watched = torch.stack([held[i : i + WINDOW + 1] for i in fixed])
    losses = []
    for t, lr in enumerate(schedule.values().tolist()):
        for group in optimizer.param_groups:
            group["lr"] = lr
        at = order.integers(0, len(train) - WINDOW - 1, BATCH)
        loss = loss_of(model, torch.stack([train[i : i + WINDOW + 1] for i in at]))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if (t + 1) % EVERY == 0:
            with torch.no_grad():
                losses.append(loss_of(model, watched).item())
    return losses


def main(out):
    torch.set_num_threads(1)
    train, held = corpus()
    columns = {name: run(schedule, train, held) for name, schedule in recipes().items()}
    lines = [",".join(["step", *columns])]
    for j in range(max(map(len, columns.values()))):
        row = (f"{losses[j]:.5f}" if j < len(losses) else "" for losses in columns.values())
        lines.append(",".join([str((j + 1) * EVERY), *row]))
    Path(out).write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
