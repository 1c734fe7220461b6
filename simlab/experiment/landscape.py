"""The table [problem] of river valleys: builders by kind, whose signatures are its keys, and the noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from simlab.errors import InputError, check_count, check_floats, check_number, unknown_name
from simlab.experiment.tables import Table, call, kind_of, shown
from simlab.landscapes.straight import StraightValley

if TYPE_CHECKING:
    from simlab.landscapes.landscape import Landscape
    from simlab.landscapes.noise import Noise

__all__ = ["NOISES", "RIVERS", "Valley", "build_valley"]

NOISES = ("isotropic", "hessian", "hills", "loss", "none")
NOISE_KEYS = ("noise", "noise_kind", "noise_floor")


class Valley(NamedTuple):
    """What a table [problem] stands for: a valley, and the noise of one sample's gradient on it."""

    ground: StraightValley | Landscape
    noise: Noise

    def __repr__(self) -> str:
        return repr(self.ground)

    @property
    def straight(self) -> StraightValley | None:
        """The valley, where the exact engine can run it."""
        return self.ground if isinstance(self.ground, StraightValley) else None

    @property
    def landscape(self) -> Landscape:
        """The valley as the sampling engine takes it."""
        return self.ground.landscape() if isinstance(self.ground, StraightValley) else self.ground


def straight(
    hills: Sequence[float],
    count: int | None = None,
    slope: float | None = None,
    curvature: float | None = None,
    target: float | None = None,
    noise: float | Sequence[float] = 1.0,
    river_noise: float = 0.0,
    hill_start: float | Sequence[float] = 0.0,
    river_start: float = 0.0,
) -> StraightValley:
    """See `StraightValley`; with `count`, that many hills in equal ratios from the first of `hills` to the last."""
    return StraightValley(
        _spread("hills", hills, count), slope=slope, curvature=curvature, target=target, noise=noise,
        river_noise=river_noise, hill_start=hill_start, river_start=river_start,
    )  # fmt: skip


def bigram(
    determinism: Sequence[float],
    count: int | None = None,
    vocabulary: int = 5,
    weight: Sequence[float] | None = None,
    start: Sequence[float] | None = None,
) -> Any:
    """See `simlab.river.bigram`; with `count`, that many prefixes at equal distances between two determinisms."""
    from simlab.landscapes.bigram import bigram as made

    if count is not None:
        if len(determinism) != 2:
            raise InputError(f" = {shown(determinism)} with count; give two numbers, first and last.", "determinism")
        low, high = (check_number(f"determinism[{j}]", m, low=0.0, high=1.0) for j, m in enumerate(determinism))
        determinism = np.linspace(low, high, check_count("count", count)).tolist()
    return made(determinism, vocabulary, weight, start)


def among(landscape: Any, hills: Sequence[float], count: int | None = None, seed: int = 0, rotate: bool = True) -> Any:
    """See `simlab.river.embedded`; `count` as in `straight`."""
    from simlab.landscapes import valleys

    return valleys.embedded(landscape, _spread("hills", hills, count), seed, rotate)


_PLAIN = {
    "river-curved": "curved",
    "river-hyperbolic": "hyperbolic",
    "river-narrowing": "narrowing",
    "river-widening": "widening",
}
"""Kinds whose table is the call of a function of `simlab.landscapes.valleys` as it stands."""
RIVERS = ("river-straight", "river-bigram", "river-embedded", *_PLAIN)
"""Kinds of problems."""


def build_valley(table: Table) -> Valley:
    """The valley of a table [problem] and the noise on it, or an InputError.

    Noise of a straight valley is that of its hills and its river. Of all others it is, by `noise_kind`, isotropic of
    standard deviation `noise` (the default, 1), "hessian" (covariance noise^2 times the Hessian at the start, of a
    bigram at its optimum, where it is the noise of sampled pairs), "hills" (across the river alone), "loss" (variance
    noise^2 times what the loss is above `noise_floor`) or "none".
    """
    from simlab.landscapes import noise as noises

    kind = kind_of(table, "problem", RIVERS)
    if kind == "river-straight":
        valley: StraightValley = call(straight, table, "problem", {})
        return Valley(valley, noises.diagonal(np.sqrt(np.append(valley.river_noise, valley.noise))))
    given = {key: value for key, value in table.items() if key not in NOISE_KEYS}
    optimum = None
    if kind == "river-bigram":
        model = call(bigram, given, "problem", {})
        landscape, optimum = model.landscape, model.optimum
    elif kind == "river-embedded":
        landscape = _embedded(given)
    else:
        landscape = _plain(kind, given, "problem")
    noise = _noise(table, optimum)
    if table.get("noise_kind") == "hills":
        # Whether the river's direction is known is found out here, and not first when it runs.
        try:
            noise.on(landscape)
        except InputError:
            raise InputError(
                f" = 'hills' needs the course of the river, which is not known of {kind}; take 'hessian', or another.",
                "problem.noise_kind",
            ) from None
    return Valley(landscape, noise)


def _plain(kind: str, table: Table, path: str) -> Landscape:
    from simlab.landscapes import valleys

    made: Landscape = call(getattr(valleys, _PLAIN[kind]), table, path, {})
    return made


def _embedded(table: Table) -> Landscape:
    """A valley of its own table, problem.valley, among more hills."""
    inner: Any = table.get("valley")
    if inner is None:
        raise InputError(
            " is missing for kind 'river-embedded'; give {kind = \"river-curved\"}, say.", "problem.valley"
        )
    if not isinstance(inner, Mapping):
        raise InputError(
            f' = {shown(inner)} is not a table; write valley = {{kind = "river-curved"}}.', "problem.valley"
        )
    for key in NOISE_KEYS:
        if key in inner:
            raise InputError(
                f" is not taken; noise is that of all coordinates: problem.{key}.", f"problem.valley.{key}"
            )
    kind = kind_of(dict(inner), "problem.valley", _PLAIN)
    landscape = _plain(kind, {**inner, "kind": kind}, "problem.valley")
    rest = {key: value for key, value in table.items() if key != "valley"}
    made: Landscape = call(among, rest, "problem", {"landscape": landscape})
    return made


def _noise(table: Table, optimum: Any) -> Noise:
    from simlab.landscapes import noise as noises

    sigma = check_number("problem.noise", table.get("noise", 1.0), low=0.0)
    law = table.get("noise_kind", "isotropic")
    if law not in NOISES:
        raise unknown_name("problem.noise_kind", law, NOISES)
    if "noise_floor" in table and law != "loss":
        raise InputError(
            f' = {shown(table["noise_floor"])} belongs to noise_kind = "loss"; leave it out.', "problem.noise_floor"
        )
    floor = check_number("problem.noise_floor", table.get("noise_floor", 0.0))
    made: dict[str, Callable[[], Noise]] = {
        "isotropic": lambda: noises.isotropic(sigma),
        "hessian": lambda: noises.like_hessian(sigma, at=optimum),
        "hills": lambda: noises.along_hills(sigma),
        "loss": lambda: noises.with_loss(sigma, floor),
        "none": noises.none,
    }
    return made[law]()


def _spread(name: str, ends: Sequence[float], count: int | None) -> Any:
    """Curvatures as they are, or `count` of them in equal ratios between two, the largest first."""
    lam = check_floats(name, ends)
    if count is None:
        return lam
    if lam.size != 2 or not np.all(lam > 0.0):
        raise InputError(f" = {shown(ends)} with count; give two positive curvatures, first and last.", name)
    return np.geomspace(lam.max(), lam.min(), check_count("count", count))
