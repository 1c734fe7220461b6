"""Loss curves of language models under nine schedules (data of Luo et al. 2025) and the schedules behind them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["HELD_OUT", "TRAINED_ON", "Curve", "curves"]

FloatArray = npt.NDArray[np.float64]
TRAINED_ON = ("cosine_24000", "constant_24000", "wsdcon_9")
HELD_OUT = ("constant_72000", "cosine_72000", "wsd_20000_24000", "wsdld_20000_24000", "wsdcon_3", "wsdcon_18")
PEAK, END, WARMUP = 3e-4, 3e-5, 2160


class Curve(NamedTuple):
    """lr of every step (T,), the steps at which the loss was logged, and the loss there."""

    lr: FloatArray
    step: npt.NDArray[np.int64]
    loss: FloatArray


def _lr(name: str, ramp: bool) -> FloatArray:
    words = name.split("_")
    total = 16_000 if words[0] == "wsdcon" else int(words[-1])
    step = np.arange(total)
    u = np.clip((step - 20_000) / 4000, 0.0, 1.0)
    lr = {
        "constant": lambda: np.full(total, PEAK),
        "cosine": lambda: END + 0.5 * (PEAK - END) * (1.0 + np.cos(np.pi * (step - WARMUP) / (total - WARMUP))),
        "wsd": lambda: PEAK * (END / PEAK) ** u,
        "wsdld": lambda: PEAK + (END - PEAK) * u,
        "wsdcon": lambda: np.where(step < 8000, PEAK, 1e-5 * float(words[-1])),
    }[words[0]]()
    lr[:WARMUP] = np.linspace(0.0, PEAK, WARMUP) if ramp else PEAK
    return np.asarray(lr)


def curves(shared_data: Path, size: str, names: tuple[str, ...], ramp: bool = True) -> dict[str, Curve]:
    """The curves of a model size, "25M" or "100M"; warmup as a ramp from 0 or counted as the peak."""
    out = {}
    for name in names:
        table = np.genfromtxt(shared_data / f"loss_curves/multi_power_law/{size}/{name}.csv", delimiter=",", names=True)
        lr, step = _lr(name, ramp), table["step"].astype(np.int64)
        keep = step < lr.size
        np.testing.assert_allclose(lr[step[keep]], table["lr"][keep], rtol=2e-3)
        out[name] = Curve(lr, step[keep], table["loss"][keep])
    return out
