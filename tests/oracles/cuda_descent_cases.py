"""Descents on landscapes that the GPU's kernels must do as the CPU's do: walked through on the host compiler and, where
there is one, on a GPU.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pytest

from simlab import InputError, methods, river, schedules
from simlab.engines.descend import _device, descend
from simlab.engines.gpu.landscape import DESCENT, GpuDescent, check_source
from simlab.engines.replicas.landscape import runner
from simlab.kernels.landscapes.descent import CHECK, NO_NOISE, Watch
from tests.oracles.method_zoo import ZOO

STEPS, CUT, FIRST = 70, 31, 1000
LANES = 128
KEY = np.uint64(0xDEADBEEF), np.uint64(0x12345678)


class Case(NamedTuple):
    """One descent: landscape, method and noise by their names below; lr of a diverging one is beyond 2 / lam_max."""

    landscape: str
    method: str
    noise: str
    held: bool
    lr: float = 0.02

    def __str__(self):
        where = "registers" if self.held else "memory"
        return f"{self.landscape} {self.method} {self.noise} in {where}{' diverges' * (self.lr > 0.1)}"


# The user's own landscape is the curved valley: it comes out as the built-in one does, whose kernels are compiled once
# for all, and the user's Numba functions are called at a few points only.


def own_loss(w, params):
    height = w[1] - params[2] * math.sin(params[3] * w[0])
    return -params[0] * w[0] + 0.5 * params[1] * height * height


def own_gradient(w, params, out):
    steep = params[1] * (w[1] - params[2] * math.sin(params[3] * w[0]))
    out[0] = -params[0] - steep * params[2] * params[3] * math.cos(params[3] * w[0])
    out[1] = steep


OWN = """
__device__ double height(const double* w, const double* params) { return w[1] - params[2] * sin(params[3] * w[0]); }
__device__ double loss(const double* w, const double* params) {
    return -params[0] * w[0] + 0.5 * params[1] * height(w, params) * height(w, params);
}
__device__ void gradient(const double* w, const double* params, double* out) {
    const double steep = params[1] * height(w, params);
    out[0] = -params[0] - steep * params[2] * params[3] * cos(params[3] * w[0]);
    out[1] = steep;
}
"""


def custom(cuda=OWN):
    return river.custom(own_loss, own_gradient, 2, start=[0.3, 0.7], params=[0.1, 10.0, 1.0, 0.5], cuda=cuda)


def swirl(w, params, xi, out):
    out[:] = xi


LANDSCAPES = {
    "straight": lambda: river.straight_landscape([3.0, 1.0], slope=0.2, mu=0.1, target=4.0, start=[1.0, 2.0, 3.0]),
    "wide": lambda: river.straight_landscape(np.linspace(1.0, 9.0, 460), slope=0.2),
    "curved": lambda: river.curved(slope=0.1, mu=0.0, start=[0.3, 0.7]),
    "narrowing": lambda: river.narrowing([1.0, 2.0], [3.0, 9.0], start=[4.0, 1.0, -1.0]),
    "hyperbolic": river.hyperbolic,
    "bigram": lambda: river.bigram([1.0, 0.3]).landscape,
    "turned curved": lambda: river.embedded(LANDSCAPES["curved"](), [1.0, 9.0], seed=1),
    "turned narrowing": lambda: river.embedded(LANDSCAPES["narrowing"](), np.linspace(1.0, 9.0, 80), seed=2),
    "turned hyperbolic": lambda: river.embedded(river.hyperbolic(), np.linspace(1.0, 9.0, 70), seed=5),
    "many curved": lambda: river.embedded(LANDSCAPES["curved"](), np.linspace(1.0, 9.0, 7), seed=4),
    "custom": custom,
    "turned custom": lambda: river.embedded(custom(), [1.0, 9.0], seed=1),
    "many custom": lambda: river.embedded(custom(), np.linspace(1.0, 9.0, 7), seed=4),
}
METHODS = {
    "ema_nesterov": lambda lr, beta, B: methods.ema(methods.nesterov(lr, beta, B), 0.8),
    "ema_average_heavy": lambda lr, beta, B: methods.ema(methods.average(methods.heavy_ball(lr, beta, B)), 0.8),
    **ZOO,
}
NOISES = {
    "none": river.noise.none,
    "isotropic": lambda: river.noise.isotropic(0.5),
    "hessian": lambda: river.noise.like_hessian(0.7),
    "hills": lambda: river.noise.along_hills(0.7),
    "loss": lambda: river.noise.with_loss(0.5, floor=-2.0),
    "loss hessian": lambda: river.noise.with_loss(0.5, floor=-2.0, of=river.noise.like_hessian(0.3)),
    "loss hills": lambda: river.noise.with_loss(0.5, floor=-2.0, of=river.noise.along_hills(0.3)),
}
CASES = [
    *(Case("curved", name, noise, True) for name, noise in (
        ("sgd", "isotropic"), ("heavy_ball", "hills"), ("ema_nesterov", "loss"), ("schedule_free", "hessian"),
        ("asgd", "none"), ("ema_average_heavy", "isotropic"))),
    Case("straight", "sgd", "loss hessian", True),
    Case("straight", "schedule_free", "isotropic", True),
    Case("straight", "ema_average_heavy", "hills", True),
    Case("wide", "sgd", "isotropic", False),
    Case("wide", "asgd", "loss", False),
    Case("wide", "ema_nesterov", "none", False),
    Case("curved", "sgd", "loss hills", True),
    Case("narrowing", "ema_nesterov", "isotropic", True),
    Case("narrowing", "sgd", "hessian", True),
    Case("hyperbolic", "heavy_ball", "isotropic", True),
    Case("hyperbolic", "asgd", "loss", True),
    Case("hyperbolic", "sgd", "hills", True),
    Case("turned hyperbolic", "heavy_ball", "loss hills", False),
    Case("turned curved", "sgd", "hills", True),
    Case("bigram", "sgd", "isotropic", False),
    Case("bigram", "schedule_free", "hessian", False),
    Case("turned curved", "ema_nesterov", "loss hessian", True),
    Case("turned curved", "sgd", "isotropic", True),
    Case("turned narrowing", "heavy_ball", "isotropic", False),
    Case("turned narrowing", "sgd", "loss hessian", False),
    Case("custom", "schedule_free", "isotropic", True),
    Case("custom", "asgd", "loss", True),
    Case("turned custom", "sgd", "hessian", True),
    Case("many custom", "ema_average_heavy", "isotropic", False),
    Case("curved", "sgd", "isotropic", True, lr=0.3),
    Case("wide", "sgd", "isotropic", False, lr=0.3),
]  # fmt: skip


def method_of(case):
    lr = schedules.wsd(STEPS, peak=case.lr, cooldown=0.3)
    return METHODS[case.method](lr, schedules.linear(STEPS, 0.7, floor=0.4), 1)


def gpu_of(case, device):
    landscape = LANDSCAPES[case.landscape]()
    return GpuDescent(landscape, NOISES[case.noise]().on(landscape), device)


class _Nowhere:
    """A device that names of kernels can be asked of."""

    put = get = free_memory = staticmethod(lambda array=None: array)


def kernels_of(cases):
    """{source of the user's: names of the kernels that the cases need}."""
    out = {}
    for case in cases:
        gpu = gpu_of(case, _Nowhere())
        out.setdefault(gpu.source, set()).add(gpu.kernel(method_of(case).state_size))
    return out


def add_all(host):
    """Compile all kernels of the cases and of the public doors at once."""
    for own, names in kernels_of([*CASES, *DOORS]).items():
        host.add(DESCENT, sorted({*names, *(["own_points<5>"] if own else [])}), own=own)


def _watch(slots, dim, ended):
    records = int(slots.max()) + 1
    return Watch(slots, np.zeros((records, LANES)), np.zeros((records, dim, LANES)), 1e7, ended)


def _chunks(method):
    """(first step, arguments of the kernels from t0 on) of a run cut in two; every third step has the full gradient."""
    amplitude = np.resize([1.0, 0.5, 0.0], STEPS)
    for begin, end in ((0, CUT), (CUT, STEPS)):
        slots = np.full(end - begin + 1, -1)
        wanted = [t - begin for t in (0, 1, 9, CUT, 50, STEPS) if begin < t <= end or t == begin == 0]
        slots[wanted] = np.arange(len(wanted))
        M, b, c = (np.ascontiguousarray(part) for part in method.coefficients(begin, end))
        o = np.ascontiguousarray(method.readout(begin, end + 1))
        yield slots, (40, FIRST + begin, M, b, c, o, amplitude[begin:end], *KEY)


def check_case(case, device, bound):
    """Both through two chunks, the first of which leaves out half of the lanes: same records, endings and state."""
    gpu, method = gpu_of(case, device), method_of(case)
    landscape = gpu.landscape
    on_cpu = runner(LANDSCAPES[case.landscape.replace("custom", "curved")](), gpu.noisy)
    assert gpu.held(method.state_size) == case.held
    assert (gpu.noisy.kind == NO_NOISE) == (case.noise == "none")
    z = np.repeat(np.multiply.outer(method.z0, landscape.start)[:, :, None], LANES, axis=2)
    # Over more than a period of the curved river, the whole taper, and both sides of the hyperbolic one.
    z[0, 0] += np.linspace(-3.0, 3.0, LANES) * (5.0 if "cu" in case.landscape else 1.0)
    on_device = gpu.upload(z)
    ended, expected_ended = np.full((2, LANES), -1)
    for begin, (slots, rest) in zip((64, 0), _chunks(method), strict=True):
        mine, watch = (_watch(slots, landscape.dim, array) for array in (ended, expected_ended))
        with np.errstate(all="ignore"):
            on_cpu(watch, begin, LANES, *rest, z)
        gpu.run(mine, begin, LANES, *rest, on_device)
        np.testing.assert_array_equal(ended, expected_ended)
        assert np.all(mine.loss[:, :begin] == 0.0)
        alive = ended < 0
        for got, expected in ((mine.loss, watch.loss), (mine.point, watch.point)):
            got, expected = got[..., alive], expected[..., alive]
            np.testing.assert_allclose(got, expected, rtol=bound, atol=bound * np.abs(expected).max(initial=1.0))
    if case.lr > 0.1:
        # One half begins with the second chunk, and leaves at its first record; the other where all are looked at.
        assert set(ended[:64]) == {FIRST + 50}
        assert set(ended[64:]) == {-(-FIRST // CHECK) * CHECK}
    else:
        assert np.all(ended < 0)
        got = gpu.download(on_device)
        np.testing.assert_allclose(got, z, rtol=bound, atol=bound * np.abs(z).max())


# -- the public door ---------------------------------------------------------------------------------------------------

DOORS = [Case("curved", "ema_nesterov", "hills", True), Case("custom", "sgd", "isotropic", True)]


def check_doors(folder):
    """device="gpu" answers as device="cpu" does, in blocks of chunks as well, and goes on where it was stopped."""
    for case in DOORS:
        method, landscape = method_of(case), LANDSCAPES[case.landscape]()
        run = {"noise": NOISES[case.noise](), "replicas": 200, "record": [0, 7, 33, STEPS], "paths": True, "block": 64}
        whole = descend(landscape, method, device="gpu", **run)
        expected = descend(LANDSCAPES["curved"](), method, device="cpu", **run)
        assert (whole.attrs["device"], expected.attrs["device"]) == ("gpu", "cpu")
        for name in whole.data_vars:
            np.testing.assert_allclose(whole[name], expected[name], rtol=1e-10, atol=1e-12, err_msg=name)
        assert whole["status"].item() == expected["status"].item() == "done"
        run |= {"checkpoint": folder / case.landscape, "every": 5}
        part = descend(landscape, method, device="gpu", progress=_after(12), **run)
        assert part["status"].item() == "interrupted"
        resumed = []
        rest = descend(landscape, method, device="gpu", progress=lambda d, _, to=resumed: to.append(d), **run)
        assert resumed[0] > 0
        assert rest.identical(whole)
        with pytest.raises(InputError, match="another run"):
            descend(landscape, method, device="cpu", **run)


def _after(count):
    calls = []

    def stop(done, total):
        calls.append(done)
        if len(calls) == count:
            raise KeyboardInterrupt

    return stop


def check_refusals(device):
    """What a GPU does not take, and CUDA C++ that is not what the compiled functions are."""
    run = {"method": methods.sgd(schedules.constant(5, 0.01)), "replicas": 3}
    plain, own_noise = custom(None), river.noise.custom(swirl)
    with pytest.raises(InputError, match=r"device = 'gpu': custom is known to the processor alone; give .*cuda=SOURCE"):
        descend(plain, device="gpu", **run)
    with pytest.raises(InputError, match="noise with a function of your own is known to the processor alone"):
        descend(custom(), noise=own_noise, device="gpu", **run)
    for landscape, noise in ((plain, river.noise.none()), (custom(), own_noise)):
        assert _device("auto", landscape, noise.on(landscape), True) == "cpu"
    assert _device("auto", custom(), river.noise.none().on(custom()), False) == "cpu"
    for change, words in {
        ("0.5 * params", "0.5000002 * params"): None,
        (
            "0.5 * params",
            "0.51 * params",
        ): r"cuda of custom: loss = .* at w = \(0\.3, 0\.7\), where the compiled loss",
        ("out[1] = steep", "out[1] = -steep"): r"cuda of custom: gradient\[1\] = .*; correct the one or the other",
        ("double steep", "double steeper"): r"cuda of custom cannot be compiled \(.*landscape\.cu.*error.*steep",
    }.items():
        wrong = custom(OWN.replace(*change))
        if words is None:
            check_source(wrong, device)
        else:
            with pytest.raises(InputError, match=words):
                check_source(wrong, device)
    with pytest.raises(InputError, match="cuda = 'double f' is not CUDA C"):
        custom("double f")
