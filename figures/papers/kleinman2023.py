"""Kleinman, Achille and Soatto 2023 (arXiv 2308.12221): critical periods of two paths that compete for one mode.

Path a of depth D has strength K_a = p_a^D, and p_a' = p_a^(D-1) (S - K_1 - K_2): gradient descent on a singular value S
from small, balanced weights. A deficit holds path 2 where it is for a while.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.columns import stack
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column

from simlab.arrays import FloatArray
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FIGURES", "half_time", "strengths"]

PAPER = "Kleinman, Achille, Soatto 2023, arXiv 2308.12221, ICLR 2024"
TARGET, FIRST = 4.0, 0.01
"""S, and K_a at the start."""
DEPTHS = (1, 2, 3, 4)
WINDOW, ONSETS = 150, (0, 400, 750)
"""Of the authors' figure 2: steps of a deficit, and where it begins, of 1,000 steps of 0.01 at depth 4."""
STEP, LENGTH, DEEP = 0.01, 1_000, 4
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
"""Onsets of a deficit of t/4, in units of t, the time at which half of the mode is learned."""
DECAY = 0.1
CHOSEN = "S = 4, K = 0.01 at the start"
SHORT = "deficits of a quarter of the time t in which half of the mode is learned"


def strengths(
    depth: int, steps: int, window: tuple[int, int] = (0, 0), step: float = STEP, decay: float = 0.0
) -> FloatArray:
    """(K_1, K_2) at steps 0 .. T, shape (T + 1, 2); path 2 is held in steps window[0] .. window[1] - 1."""
    p = np.full(2, FIRST ** (1.0 / depth))
    path = [p**depth]
    for t in range(steps):
        push = p ** (depth - 1) * (TARGET - np.sum(p**depth)) - decay * p
        if window[0] <= t < window[1]:
            push[1] = 0.0
        p = p + step * push
        path.append(p**depth)
    return np.array(path)


def half_time(depth: int, step: float) -> int:
    """Steps in which K_1 + K_2 reaches S/2 without a deficit."""
    total = strengths(depth, round(10.0 / step), step=step).sum(axis=1)
    return int(np.argmax(total >= 0.5 * TARGET))


def compute(scale: Scale) -> Data:
    """paths: the authors' three deficits at depth 4; ends: K_2 by depth and onset; long: K_2 after a deficit over
    all of learning, and K_2/K_1 after a short one and later under weight decay.
    """
    step = {"tiny": 0.02, "quick": 0.005, "full": 0.0005}[scale]
    paths, ends, long = [], [], []
    for onset in ONSETS:
        path = strengths(DEEP, LENGTH, (onset, onset + WINDOW))
        paths.append({"onset": onset, "step": np.arange(LENGTH + 1), "one": path[:, 0], "two": path[:, 1]})
    for depth in DEPTHS:
        half = half_time(depth, step)
        for share in SHARES:
            start = round(share * half)
            end = strengths(depth, 12 * half, (start, start + half // 4), step)[-1]
            ends.append({"depth": depth, "onset": share, "one": end[0], "two": end[1]})
        silent = strengths(depth, 20 * half, (0, 10 * half), step)[-1, 1]
        path = strengths(depth, round(50.0 / step), (0, half // 4), step, DECAY)
        ratio = path[:, 1] / path[:, 0]
        long.append({"depth": depth, "silent": silent, "after": ratio[half // 4], "later": ratio[-1]})
    return {"paths": stack(paths), "ends": stack(ends), "long": stack(long)}


def _kept(data: Data, depth: int) -> FloatArray:
    """K_2 at the end over S/2, by onset."""
    return np.asarray(column(data["ends"], "two", depth=depth) / (0.5 * TARGET))


def draw(data: Data) -> Figure:
    with style():
        figure = new_figure(WIDTH, 2.6)
        panels = figure.subplots(1, 4, width_ratios=[1.0, 1.0, 1.0, 1.6])
        for axes, onset, tag in zip(panels, ONSETS, "abc", strict=False):
            _path(axes, data, onset, tag)
        panels[0].set_ylabel("strength K")
        for i, depth in enumerate(DEPTHS):
            at = column(data["ends"], "onset", depth=depth)
            look: dict[str, Any] = {"color": PALETTE[2 + i], "ls": DASHES[i], "marker": "os^D"[i], "ms": 3}
            panels[3].plot(at, _kept(data, depth), label=f"D = {depth}", **look)
        panels[3].set(xlabel="onset of the deficit [t]", ylabel="$K_2$ at the end / (S/2)", ylim=(0, 1.05))
        panels[3].set_title("(d) deficit of t/4")
        panels[3].legend(loc="lower right")
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower left", ncols=3)
    return figure


def _path(axes: Axes, data: Data, onset: int, tag: str) -> None:
    step, one, two = (column(data["paths"], key, onset=onset) for key in ("step", "one", "two"))
    axes.axvspan(onset, onset + WINDOW, color="0.9", label="path 2 held")
    axes.plot(step, one, color=PALETTE[0], label="path 1")
    axes.plot(step, two, color=PALETTE[1], ls="--", label="path 2")
    axes.set(xlabel="step", title=f"({tag}) at {onset}", ylim=(0, 4.1))
    axes.grid(visible=False)


def claims(data: Data) -> list[Claim]:
    return [*_early(data), *_by_depth(data), *_own(data)]


def _early(data: Data) -> list[Claim]:
    one, two = (np.array([column(data["paths"], key, onset=o)[-1] for o in ONSETS]) for key in ("one", "two"))
    spoken = ", ".join(f"{a:.2f}/{b:.2f} (from {o})" for o, a, b in zip(ONSETS, one, two, strict=True))
    return [
        Claim(
            "a deficit at the start leaves its path weak for good, later ones leave no trace",
            "figure 2; authors' code for depth, steps and windows",
            "path 2 at the end below a tenth of path 1 after the deficit at 0, within 1 % of it after the others",
            spoken,
            bool(two[0] < 0.1 * one[0] and np.all(np.abs(two[1:] / one[1:] - 1.0) <= 0.01)),
            "the later deficits fall into learning too",
            chosen=CHOSEN,
        ),
        Claim(
            "the path without a deficit takes what the other one loses",
            "figure 2",
            "K_1 + K_2 within 1 % of S at the end, every deficit",
            ", ".join(f"{a + b:.3f}" for a, b in zip(one, two, strict=True)) + f" of {TARGET:g}",
            bool(np.all(np.abs((one + two) / TARGET - 1.0) <= 0.01)),
            "the run ends before the mode is learned",
            chosen=CHOSEN,
        ),
    ]


def _by_depth(data: Data) -> list[Claim]:
    kept = {depth: _kept(data, depth) for depth in DEPTHS}
    half = SHARES.index(0.5)
    lost = {depth: 1.0 - values for depth, values in kept.items()}
    rising = {depth: bool(np.all(np.diff(values) >= -1e-3)) for depth, values in kept.items()}
    closed = {
        depth: next((share for share, x in zip(SHARES, values, strict=True) if x <= 0.1), np.inf)
        for depth, values in lost.items()
    }
    return [
        Claim(
            "the later a deficit begins the less it harms",
            "abstract; figure 2",
            "K_2 at the end rises with the onset, depths 2 to 4",
            "; ".join(f"D = {d}: {v[0]:.2f} .. {v[-1]:.2f}" for d, v in kept.items()),
            all(rising[depth] and kept[depth][-1] > kept[depth][0] + 0.1 for depth in DEPTHS[1:]),
            "path 2 is as strong by then whenever it was held",
            chosen=f"{CHOSEN}; {SHORT}",
            turns="less than a tenth is lost from an onset of "
            + ", ".join(f"{x:g} t (D = {d})" for d, x in closed.items()),
        ),
        Claim(
            "the deeper the paths the more a deficit harms",
            "abstract",
            "K_2 lost at onset t/2 rises with depth, and is below a tenth at depth 1",
            ", ".join(f"{lost[d][half]:.1%} (D = {d})" for d in DEPTHS),
            bool(np.all(np.diff([lost[d][half] for d in DEPTHS]) > 0.0) and lost[1].max() < 0.1),
            "at depth 1 a deficit harms too",
            chosen=f"{CHOSEN}; {SHORT}",
            turns="at the start: " + ", ".join(f"{lost[d][0]:.1%} (D = {d})" for d in DEPTHS),
        ),
    ]


def _own(data: Data) -> list[Claim]:
    silent, after, later = (column(data["long"], key) for key in ("silent", "after", "later"))
    return [
        Claim(
            "a deficit over all of learning silences a path at any depth, 1 included",
            "deficit of 10 t from the start",
            "K_2 at the end, of a run twice as long, below a tenth of S, depths 1 to 4",
            ", ".join(f"{value / TARGET:.2%} (D = {depth})" for depth, value in zip(DEPTHS, silent, strict=True)),
            bool(np.all(silent < 0.1 * TARGET)),
            own=True,
        ),
        Claim(
            "weight decay undoes a deficit at depth 1 alone",
            "(log p_2/p_1)' = (p_2^(D-2) - p_1^(D-2)) (S - K_1 - K_2): zero at D = 2, away from balance above",
            f"K_2/K_1 under decay {DECAY:g} from the end of a deficit of t/4 to time 50: to within 1 % of 1 at D = 1,"
            " by 1 % at most at D = 2, to less than half at D = 3 and 4",
            ", ".join(f"{x:.3f} to {y:.3f} (D = {d})" for d, x, y in zip(DEPTHS, after, later, strict=True)),
            bool(
                abs(later[0] - 1.0) <= 0.01
                and abs(later[1] / after[1] - 1.0) <= 0.01
                and np.all(later[2:] < 0.5 * after[2:])
            ),
            "the run is too short for the decay to act",
            own=True,
        ),
    ]


FIGURES = [
    Reproduction(
        "kleinman2023-periods",
        "Critical learning periods of two competing paths",
        PAPER,
        2023,
        "Two paths of depth D on one singular value S = 4, K = 0.01 at the start; path 2 is held in a window. (a-c)"
        " D = 4, 1,000 steps of 0.01, windows of 150 steps at 0, 400, 750. (d) windows of a quarter of the time t to"
        " half the mode, steps of 0.005 (full: 0.0005).",
        compute,
        draw,
        claims,
        chosen=(CHOSEN, SHORT),
        seconds=1.5,
    )
]
