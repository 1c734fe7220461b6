"""What small learning rates tend to: gradient flow, and the stochastic differential equation of SGD."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray
from simlab.engines.descend import descend
from simlab.errors import InputError, check_array, check_count, check_number
from simlab.landscapes import noise as noises
from simlab.landscapes.landscape import Landscape, Split
from simlab.methods.base import Coefficients, Steps, arrays, record
from simlab.methods.gradient import sgd
from simlab.schedules import Schedule, as_schedule, from_array

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["diffusion", "gradient_flow"]


def gradient_flow(
    landscape: Landscape,
    times: npt.ArrayLike,
    start: npt.ArrayLike | None = None,
    *,
    river: Any = None,
    tolerance: float = 1e-10,
) -> xr.Dataset:
    """Gradient flow dw/dtau = -grad L(w) at the times tau (n,), increasing from 0: the limit of small learning rates.

    tau is comparable to the sum of the learning rates. By SciPy's LSODA, which turns stiff where the hills are.

    Returns a Dataset by time: iterate (index), loss, and river, hill and coordinate where a split is known (`river`, or
    the landscape's own).
    """
    import xarray as xr
    from scipy.integrate import solve_ivp

    tau = check_array("times", times, low=0.0)
    if np.any(np.diff(tau) <= 0.0):
        raise InputError(" do not increase; give increasing times from 0.", "times")
    tolerance = check_number("tolerance", tolerance, low=1e-13)
    origin = landscape.start if start is None else check_array("start", start, length=landscape.dim)
    landscape.check_inside("start", origin)
    if tau[-1] > 0.0:
        solution = solve_ivp(
            lambda _, w: -landscape.slope(w), (0.0, float(tau[-1])), origin, method="LSODA", t_eval=tau,
            rtol=tolerance, atol=tolerance,
        )  # fmt: skip
        if not solution.success:
            raise InputError(f"gradient flow stops ({solution.message}); shorten the times or loosen the tolerance.")
        w = np.ascontiguousarray(solution.y.T)
    else:
        w = np.tile(origin, (tau.size, 1))
    loss = landscape.value(w)
    variables: dict[str, Any] = {"iterate": (("time", "index"), w), "loss": (("time",), loss)}
    split: Split | None = river.split(w) if river is not None else None
    if split is None and landscape.split_of is not None:
        split = landscape.split(w)
    if split is not None:
        parts = {"river": split.river_loss, "hill": loss - split.river_loss, "coordinate": split.coordinate}
        variables |= {name: (("time",), values) for name, values in parts.items()}
    return xr.Dataset(variables, {"time": tau}, {"landscape": landscape.expression, "engine": "gradient_flow"})


def diffusion(
    landscape: Landscape, lr: Schedule, noise: noises.Noise, *, substeps: int = 16, record: Any = None, **options: Any
) -> xr.Dataset:
    """The SDE of SGD, dw = -lr(t) grad L(w) dt + lr(t) Sigma(w)^(1/2) dB, t in steps, by Euler and Maruyama.

    Source: Li, Tai and E 2017 (arXiv 1511.06251), first order. Each step of `lr` is cut into `substeps` n: learning
    rate lr / n, standard deviation of the noise times sqrt(n); the limit n -> infinity is the SDE, with stationary hill
    loss lr sigma^2 / 4 for each hill where n = 1, SGD itself, has lr sigma^2 / (2 (2 - lr lam)).

    `record` and the other options are those of `simlab.engines.descend.descend`; steps are whole steps of `lr`.
    """
    lr, n = as_schedule(lr, None, "lr"), check_count("substeps", substeps)
    from simlab.trace.recording import record_steps

    steps = record_steps(record, lr.length)
    fine = _Finely(lr, n=n)
    noisier = noises.Noise(f"{noise.expression} x sqrt({n})", lambda where: noises.amplified(noise.on(where), n))
    trace = descend(landscape, fine, noise=noisier, record=steps * n, **options)
    return trace.assign_coords(step=trace["step"].values // n)


@record
class _Finely(sgd):
    """SGD whose step t is cut into n of a learning rate lr_t / n."""

    n: int = 1

    def check(self) -> None:
        self._keep(length=self.lr.length * self.n)
        self._keep(learning_rate=from_array(self._rates(np.arange(self.length))))

    @property
    def expression(self) -> str:
        return f"sgd({self.lr!r}) in {self.n} substeps"

    def _rates(self, t: Steps) -> FloatArray:
        rates: FloatArray = self.lr(t // self.n) / self.n
        return rates

    def recursion(self, t: Steps) -> Coefficients:
        return arrays(t.size, [[1.0]], [self._rates(t)], [1.0])
