"""The language model of the runs, and how one is trained. Needs torch."""

from __future__ import annotations

import torch
from torch import nn

CONTEXT, LAYERS = 64, 2


class Block(nn.Module):
    def __init__(self, width, heads, norm):
        super().__init__()
        self.heads = heads
        self.first, self.second = norm(width), norm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)

    def forward(self, x):
        n, t, width = x.shape
        q, k, v = self.qkv(self.first(x)).view(n, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        seen = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(seen.transpose(1, 2).reshape(n, t, width))
        return x + self.down(nn.functional.gelu(self.up(self.second(x))))


class Decoder(nn.Module):
    """Of bytes, in windows of CONTEXT of them."""

    def __init__(self, width, heads, norm):
        super().__init__()
        self.bytes, self.places = nn.Embedding(256, width), nn.Embedding(CONTEXT, width)
        self.blocks = nn.Sequential(*(Block(width, heads, norm) for _ in range(LAYERS)))
        self.norm, self.head = norm(width), nn.Linear(width, 256, bias=False)
        for parameter in self.parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, x):
        return self.head(self.norm(self.blocks(self.bytes(x) + self.places.weight)))


def loss_of(model, windows):
    """Nats per byte on windows (n, CONTEXT + 1)."""
    return nn.functional.cross_entropy(model(windows[:, :-1]).flatten(0, 1), windows[:, 1:].flatten())


def trained(model, rates, windows_at, watched, every, weight_decay, **options):
    """The losses on the windows `watched`, after every `every` steps of AdamW on windows_at(step)."""
    matrices = [p for p in model.parameters() if p.dim() == 2]
    rest = [p for p in model.parameters() if p.dim() != 2]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95), **options)
    losses = []
    for t, lr in enumerate(rates.tolist()):
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.zero_grad()
        loss_of(model, windows_at(t)).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if (t + 1) % every == 0:
            with torch.no_grad():
                losses.append(loss_of(model, watched).item())
    return losses


def write(path, columns, every):
    """A table of runs, {name: losses}, one row for every `every` steps."""
    lines = [",".join(["step", *columns])]
    for j in range(max(map(len, columns.values()))):
        row = (f"{losses[j]:.5f}" if j < len(losses) else "" for losses in columns.values())
        lines.append(",".join([str((j + 1) * every), *row]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
