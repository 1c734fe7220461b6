"""The last iterate of the subgradient method under any schedule: a bound without the factor two, the exact worst case.

Setting: f convex, x_{t+1} = x_t - eta_t g_t for t = 1 .. T-1, E[g_t | x_t] a subgradient of f at x_t, E |g_t|^2 <=
G_t^2 for t = 1 .. T, |x_1 - x*| <= D. A schedule of length T is evaluated at x_T, so its last entry is not used (as
everywhere in theory.schaipp2025, where it is the step that would follow).

Recursion. Pick rho > 0 and let r_T = rho, r_t = r_{t+1} + eta_t / r_{t+1}.

**Upper bound (proved).** For every rho > 0, with r_{T+1} = 0,

    E f(x_T) - f* <= B(rho) = 1/2 [D^2 / r_1^2 + sum_{t=1}^T G_t^2 (r_t - r_{t+1})^2].

Proof. Let u_t = r_t / r_1, W = r_1^2, w_t = W (u_t - u_{t+1}) > 0 and z_1 = x_1, z_{t+1} = z_t - w_t g_t. The
recursion says eta_t = u_{t+1} w_t, so z_{s} - z_{s-1} = (x_s - x_{s-1}) / u_s and, with c_s = 1 / u_s, c_1 = 1,
summation by parts gives z_t - x* = (x_t - x*) + sum_{s<t} (c_{s+1} - c_s)(x_t - x_s). The c_s increase; convexity,
applied at x_t towards x* and towards each x_s (z_t and x_t are known before g_t is drawn), gives with F_t = E f(x_t)
- f*

    E <g_t, z_t - x*> >= c_t F_t - sum_{s<t} (c_{s+1} - c_s) F_s.

Multiply by w_t and sum: F_s, s < T, has the factor w_s c_s - (c_{s+1} - c_s) W u_{s+1} = W [(1 - u_{s+1}/u_s) - (1 -
u_{s+1}/u_s)] = 0, and F_T the factor w_T c_T = W. Hence W F_T <= E sum_t w_t <g_t, z_t - x*> <= 1/2 [D^2 + sum_t
w_t^2 G_t^2], by |z_{t+1} - x*|^2 = |z_t - x*|^2 - 2 w_t <g_t, z_t - x*> + w_t^2 |g_t|^2. Divide by W.  []
(The step to W F_T is Theorem 1 of Defazio et al. 2023; the moving reference points are those of Zamani and Glineur
2023.)

**Constant norms: the worst case itself (proved).** For G_t = G, (r_t - r_{t+1})^2 = r_t^2 - r_{t+1}^2 - 2 eta_t
telescopes: B(rho) = 1/2 [D^2 / r_1^2 + G^2 r_1^2] - G^2 S, S = eta_1 + ... + eta_{T-1}. Only r_1 matters, and the
values it can take are [m_1, inf), with m_T = 0, v_t = max(m_{t+1}, sqrt(eta_t)), m_t = v_t + eta_t / v_t (x + eta/x
is least at sqrt(eta)). With R = m_1^2

    min_rho B = 1/2 (D^2 / R + G^2 R) - G^2 S   if D <= G R,     D G - G^2 S   otherwise,

and with eta = gamma h also minimised over gamma:  B* = D G sqrt(1 - 2 S_h / R_h),  gamma* = D / (G sqrt(R_h (R_h - 2
S_h))). No method-independent slack is left: a function attains it.

Proof. D > G R: f(x) = G |x|. D <= G R: let t* be the smallest t with m_{t+1} < sqrt(eta_t), r_{t*+1} =
sqrt(eta_{t*}), r_t = m_t for t <= t*; then r_{t+1}^2 >= eta_t for t <= t*, that is Delta_t <= u_{t+1}, Delta_t = u_t
- u_{t+1}. Take gradients with |g_t| = G and <g_s, g_t> = G^2 (1 - q_s) for s < t, where q_t = 0 for t > t*, q_{t-1}
(u_t - Delta_{t-1}) = u_{t+1} q_t for t <= t*, scaled so that u_2 q_1 = c = 1 - D^2 / (G R)^2 in [0, 1].
(i) They exist. The recursion makes sum_{j<i} Delta_j q_j + u_{i+1} q_i = c for all i, so the Gram matrix K satisfies
K Delta = (1 - c) G^2 1. K is affine in c and positive semidefinite at c = 0; at c = 1 it has the null vector Delta >
0, elimination leaves the pivots e_1 = 1, e_{i+1} = q_i (2 - q_i / e_i) with e_i = q_i u_{i+1} / u_i, and q_i / e_i =
u_i / u_{i+1} <= 2.
(ii) With x* = x_1 - R sum_t Delta_t g_t, |x_1 - x*|^2 = R^2 Delta' K Delta = D^2. Put F_t = <g_t,
x_t - x*>; then F_t - F_{t+1} = eta_t <g_t, g_{t+1}>, as the recursion says, and f(x) = max(0, max_t F_t + <g_t, x -
x_t>) has f(x*) = 0. That piece t is the largest at x_t needs, for s > t, sum_{t<j<s} eta_j (q_t - q_j) <= eta_t q_t
(for s < t there is equality). Let v_j = u_{j+1}, X_j the value q_j v_j for q_t = 1, and f_j = v_j - X_j + Delta_j:
then f_{t+1} = Delta_t, f_{j+1} = f_j - Delta_j (f_j - Delta_j) / v_j >= 0, and by parts sum_{t<j<s} Delta_j (v_j -
X_j) = v_{t+1} Delta_t - v_{s-1} f_s - sum_{t+1<j<s} Delta_j f_j <= u_{t+1} Delta_t up to s = t* + 1; beyond, the sum
of Delta_j v_j <= v_{t*}^2 / 2 is less than v_{t*} f_{t*+1} = v_{t*}^2. The same computation from t = 0, with Delta_0
= 0, gives F_t >= 0 at c = 1, and F_t >= 1/2 at c = 0 is direct; F_t / R is affine in c.
(iii) All inequalities of the upper bound are equalities on this f, so f(x_T) - f* = B.  []

**Norms that differ (what is proved, what is not).** min_rho B(rho) is a bound. It is the worst case whenever the
analogous Gram matrix is positive semidefinite and its pieces are active in turn; `theory.hard_instance` looks, and
its answer is a proof for that schedule. It is not always: at eta = (1.05, .15, .8, .78), G = (.34, .73, .44, 4.27,
1.78), D = 4.4 the worst case, by semidefinite program, is 6.983 and the bound 7.143. Of 60 random programs of up to
12 steps the bound was exact in all 49 with norms equal or scattered by 10 or 30 %, and in 7 of 11 scattered by 70 %;
5 to 27 % above in the other four. What notes 7.3b conjecture from numbers, that B is exact, is a theorem for constant
norms and false in general.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from simlab.theory.schaipp2025 import HORIZONS, RUN, BaseLr, check_run, wsd_limit
from simlab.theory.statement import require, theorem
from simlab.theory.sums import suffix_sums

__all__ = [
    "sharper_last_iterate",
    "worst_case_last_iterate",
    "worst_case_optimal_base_lr",
    "worst_case_wsd_limit",
]

FloatArray = npt.NDArray[np.float64]
_ENTRIES = 4_000_000


def iterate_squares(lr: FloatArray, last: FloatArray, free: bool) -> FloatArray:
    """y_t = v + 2 lr_t + lr_t^2 / v, v = y_{t+1} or, where `free`, max(y_{t+1}, lr_t); y_n = last; (..., n) -> (...,
    n + 1).

    lr = 0 leaves y as it is. Fixed-point iteration on suffix sums: step t is exact as soon as those after it are, and
    each pass gains as many digits as sum lr^2 / y^2 is small; sweeps of 10 to 20 passes are usual.
    """
    steps = lr.shape[-1]
    y = np.empty((*lr.shape[:-1], steps + 1))
    y[..., -1] = last
    y[..., :-1] = 2.0 * suffix_sums(lr) + y[..., -1:]
    for _ in range(steps + 2):
        after = np.where(lr > 0.0, np.maximum(y[..., 1:], lr if free else 0.0), 1.0)
        gain = 2.0 * lr + np.square(lr) / after
        if free:
            gain += np.maximum(lr - y[..., 1:], 0.0)
        new = suffix_sums(gain) + y[..., -1:]
        settled = bool(np.all(np.abs(new - y[..., :-1]) <= 4e-16 * new))
        y[..., :-1] = new
        if settled:
            break
    return y


def _masked(rate: FloatArray, horizons: npt.ArrayLike | None) -> tuple[FloatArray, tuple[int, ...], FloatArray]:
    """The steps that lead to x_t for every horizon t, zeros after them, shape (H, T - 1); the shape of the horizons;
    t."""
    at = np.asarray(rate.size if horizons is None else horizons)
    require(at.dtype.kind in "iu" and np.all((at >= 1) & (at <= rate.size)), HORIZONS[0], horizons=at, T=rate.size)
    flat = at.ravel()
    return np.where(np.arange(rate.size - 1) < flat[:, None] - 1, rate[:-1], 0.0), at.shape, flat


def _reach(steps: FloatArray) -> tuple[FloatArray, FloatArray]:
    """R - 2 S, free of cancellation, and R of each row."""
    y = iterate_squares(steps, np.zeros(steps.shape[0]), free=True)
    after = y[:, 1:]
    gain = np.square(steps) / np.where(steps > 0.0, np.maximum(after, steps), 1.0) + np.maximum(steps - after, 0.0)
    return np.sum(gain, axis=1), y[:, 0]


def _in_chunks(steps: FloatArray) -> tuple[FloatArray, FloatArray]:
    rows = max(1, _ENTRIES // max(1, steps.shape[1]))
    parts = [_reach(steps[i : i + rows]) for i in range(0, steps.shape[0], rows)]
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def _constant_norm(gradient_norm: float, lr: npt.ArrayLike, distance: float) -> tuple[FloatArray, float]:
    rate, norms = check_run(lr, gradient_norm, distance)
    return rate, float(norms[0])


@theorem(
    kind="tight",
    about="the largest f(x_T) - f* over convex f with subgradients bounded by G and |x_1 - x*| <= D",
    source="simlab",
    number="proof in theory.sharper_last_iterate; constant steps: Zamani and Glineur 2023",
    assumptions=RUN + HORIZONS,
    provenance="derived",
)
def worst_case_last_iterate(
    lr: npt.ArrayLike, gradient_norm: float = 1.0, distance: float = 1.0, horizons: npt.ArrayLike | None = None
) -> FloatArray:
    """The exact worst case of the last iterate of the subgradient method, for any schedule.

        m_T = 0,  m_t = v_t + eta_t / v_t,  v_t = max(m_{t+1}, sqrt(eta_t)),   R = m_1^2,  S = eta_1 + ... + eta_{T-1}

        max f(x_T) - f* = 1/2 (D^2 / R + G^2 R) - G^2 S   if D <= G R,   D G - G^2 S   otherwise

    lr eta, shape (T,), the last entry unused; G = gradient_norm, D = distance; horizons: integers t in 1 .. T of any
    shape, each for f(x_t), default T alone. Returns the value in units of f, shape of the horizons. The proof is in the
    docstring of the module; it covers stochastic subgradients with E |g_t|^2 <= G^2 as an upper bound. O(T) a horizon.
    """
    rate, norm = _constant_norm(gradient_norm, lr, distance)
    steps, shape, _ = _masked(rate, horizons)
    slack, reach = _in_chunks(steps)
    total = np.sum(steps, axis=1)
    crossing = reach * norm >= distance
    safe = np.where(crossing, reach, 1.0)
    # 1/2 (D^2 / R + G^2 R) - G^2 S, with R - 2 S as the sum of positive terms that it is.
    value = np.where(crossing, 0.5 * (distance**2 / safe + norm**2 * slack), norm * (distance - norm * total))
    return np.asarray(value.reshape(shape))


@theorem(
    kind="tight",
    about="the base learning rate with the smallest worst case of f(x_T) - f*, and that worst case",
    source="simlab",
    number="proof in theory.sharper_last_iterate",
    assumptions=(*RUN, *HORIZONS, "horizons >= 2"),
    provenance="derived",
)
def worst_case_optimal_base_lr(
    profile: npt.ArrayLike, gradient_norm: float = 1.0, distance: float = 1.0, horizons: npt.ArrayLike | None = None
) -> BaseLr:
    """With eta = gamma h: gamma* = D / (G sqrt(R (R - 2 S))) and worst case D G sqrt(1 - 2 S / R), R and S those of h.

    Linear decay h_t = 1 - t/T gives gamma* = D / (G sqrt T) and D G / sqrt(T), the smallest of all profiles and all
    methods (Drori and Teboulle 2016). Arguments as in worst_case_last_iterate, horizons >= 2 (at T = 1 nothing is
    tuned).
    """
    shape, norm = _constant_norm(gradient_norm, profile, distance)
    steps, out, flat = _masked(shape, horizons)
    require(flat >= 2, "horizons >= 2", horizons=flat)
    slack, reach = _in_chunks(steps)
    lr = distance / (norm * np.sqrt(reach * slack))
    return BaseLr(lr.reshape(out), (distance * norm * np.sqrt(slack / reach)).reshape(out))


@theorem(
    kind="asymptotic",
    about="sqrt(T) times the worst case of WSD at its optimal base learning rate, over D G, as T grows",
    source="simlab",
    number="notes 7.3b",
    assumptions=("0 < cooldown <= 1", "shape 'linear' or '1-sqrt'"),
    provenance="derived",
)
def worst_case_wsd_limit(cooldown: npt.ArrayLike, shape: str = "linear") -> BaseLr:
    """Half the bound of theory.wsd_limit at the same base rate: R -> 2 S and R - 2 S -> 1/2 sum eta_k^2 / (S_T - S_k).

    For schedules that end at zero the worst case is Omega_T / 2 to leading order, so Schaipp et al.'s conclusions on
    base rates and shapes stand. A constant schedule's ratio is 1.79 to 1.83 at T = 400 .. 4000.
    """
    limit = wsd_limit(cooldown, shape)
    return BaseLr(limit.lr, 0.5 * limit.bound)


def _objective(steps: FloatArray, norms: FloatArray, distance: float, last: FloatArray) -> FloatArray:
    """B(rho) for rows of steps (K, n) and y_n = rho^2 = last (K,); norms (n + 1,)."""
    y = iterate_squares(steps, last, free=False)
    noise = np.sum(np.square(norms[:-1] * steps) / y[:, 1:], axis=1)
    return np.asarray(0.5 * (distance**2 / y[:, 0] + norms[-1] ** 2 * last + noise))


def minimise_last_square(steps: FloatArray, norms: FloatArray, distance: float) -> tuple[float, float]:
    """(min B, rho^2 there): a grid over the interval outside which B exceeds a value it takes, then golden section."""
    if steps.size == 0:
        return float(distance * norms[-1]), float(distance / norms[-1])

    def value(log_last: FloatArray) -> FloatArray:
        return _objective(np.broadcast_to(steps, (log_last.size, steps.size)), norms, distance, np.exp(log_last))

    start = float(np.log(steps[-1]))
    known = 2.0 * float(value(np.array([start]))[0])
    low = 2.0 * float(np.log(steps[-1] * norms[-2])) - float(np.log(known))
    high = float(np.log(known)) - 2.0 * float(np.log(norms[-1]))
    grid = np.append(np.linspace(low, max(high, low), 64), start)
    grid.sort()
    best = int(np.argmin(value(grid)))
    a, b = grid[max(best - 1, 0)], grid[min(best + 1, grid.size - 1)]
    golden = 0.5 * (np.sqrt(5.0) - 1.0)
    for _ in range(48):
        inner = np.array([b - golden * (b - a), a + golden * (b - a)])
        left, right = value(inner)
        a, b = (a, inner[1]) if left <= right else (inner[0], b)
    ends = np.array([grid[best], 0.5 * (a + b)])
    values = value(ends)
    k = int(np.argmin(values))
    return float(values[k]), float(np.exp(ends[k]))


@theorem(
    kind="upper",
    about="E f(x_T) - f* of the subgradient method",
    source="simlab",
    number="proof in theory.sharper_last_iterate, notes 7.3b; after Defazio et al. 2023, Theorems 1 and 3",
    assumptions=RUN + HORIZONS,
    provenance="derived",
)
def sharper_last_iterate(
    lr: npt.ArrayLike,
    gradient_norms: npt.ArrayLike = 1.0,
    distance: float = 1.0,
    horizons: npt.ArrayLike | None = None,
) -> FloatArray:
    """min_rho 1/2 [D^2 / r_1^2 + sum_t G_t^2 (r_t - r_{t+1})^2] >= E f(x_T) - f*, r_T = rho, r_t = r_{t+1} + eta_t /
    r_{t+1}.

    About half of Schaipp et al.'s Omega_T for schedules that decay to zero. lr eta and gradient_norms G, shape (T,) (or
    one norm), the last lr unused; distance D; horizons as in worst_case_last_iterate, default T. Returns the bound, in
    units of f, shape of the horizons. For one norm this is the exact worst case; for norms that differ the minimum over
    rho is found numerically (any rho would give a valid bound) and is attained or nearly so, see sharper_attained.
    """
    rate, norms = check_run(lr, gradient_norms, distance)
    if np.all(norms == norms[0]):
        return worst_case_last_iterate(rate, float(norms[0]), distance, horizons)
    steps, shape, flat = _masked(rate, horizons)
    cut = zip(steps, flat.tolist(), strict=True)
    values = [minimise_last_square(row[: t - 1], norms[:t], distance)[0] for row, t in cut]
    return np.asarray(values).reshape(shape)
