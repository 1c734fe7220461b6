// The loss under a fitted twin of a training run, in blocks of steps: the recursion of simlab/kernels/twin/walk.py without
// its derivatives, over the blocks of simlab/twin/blocks.py. What a problem's nodes are to `solve`, a twin is here: {optima:
// [{theta by name, weight}], reference, span, curvatures, label, bands, transient}, as simlab/twin/playable.py writes it. The
// river stands where a problem has bias, the valley where it has variance.

const WIDTH = 64;
const FINE = 16;
const JUMP = 0.02;
const TURN = 1 / 2000;

// Recorded steps moved to where blocks end anyway, as those are that `predict` tells a curve at.
function atBlocks(steps) {
  const T = steps[steps.length - 1];
  return [...new Set(steps.map((step) => (step < T ? Math.min(WIDTH * Math.round(step / WIDTH), T) : T)))];
}

// {counts, rates, edges} of the run lr, cut at `steps`; rates are means over a block.
function blocksOf(lr, steps) {
  const T = lr.length, cuts = new Set([...steps, 0, T]);
  let peak = 0;
  for (const rate of lr) peak = Math.max(peak, rate);
  for (let t = 0; t < T; t += WIDTH) cuts.add(t);
  const warmup = lr.findIndex((rate) => rate >= 0.999 * peak) + 1, fine = Math.max(1, Math.min(FINE, Math.floor(warmup / 40)));
  for (let t = 0; t < warmup; t += fine) cuts.add(t);
  for (let t = 1; t < T; t++) if (Math.abs(lr[t] - lr[t - 1]) > JUMP * peak) cuts.add(t);
  const starts = [...cuts].sort((a, b) => a - b), rates = new Float64Array(starts.length - 1);
  for (let j = 0; j < rates.length; j++) {
    for (let t = starts[j]; t < starts[j + 1]; t++) rates[j] += lr[t];
    rates[j] /= starts[j + 1] - starts[j];
  }
  const place = new Map(starts.map((start, j) => [start, j]));
  return { counts: rates.map((_, j) => starts[j + 1] - starts[j]), rates, edges: steps.map((step) => place.get(step)) };
}

// q (N,): the noise floor at the reference by curvature.
function noiseMeasure({ tilt, log_cutoff, log_noise }, curvatures) {
  const q = curvatures.map((lam) => lam ** tilt * Math.exp(-lam / Math.exp(log_cutoff)));
  const unit = Math.exp(log_noise) / q.reduce((a, b) => a + b, 0);
  return q.map((x) => x * unit);
}

// River (K,) and valley (K, N) of one optimum at the edges; x = lr / reference.
function walkTwin(theta, { reference, span, curvatures }, { counts, rates, edges }) {
  const tau = Math.exp(theta.log_onset), kappa = Math.exp(theta.log_kappa), height = Math.exp(theta.log_river);
  const q = noiseMeasure(theta, curvatures), v = new Float64Array(q.length), river = [], valley = [];
  const left = (S) => height * ((1 + S / tau) / (1 + span / tau)) ** -theta.source;
  let n = Math.exp(theta.log_start), S = 0, R = 0, h = 1;
  for (let j = 0, k = 0; k < edges.length; j++) {
    for (; edges[k] === j; k++) {
      river.push(left(S));
      valley.push([...v]);
    }
    if (j === counts.length) break;
    const m = counts[j], x = rates[j] / reference;
    if (!(x > 0)) continue;
    const w = x ** theta.norm_power, after = w + (n - w) * Math.exp(-kappa * x * m), a = x / Math.sqrt((n + after) / 2);
    n = after;
    S += m * a ** theta.river_power;
    const goal = a ** -theta.adaptation;
    h = goal + (h - goal) * Math.exp(-TURN * m * a);
    const clock = m * a ** theta.valley_power * h, Y = clock * (1 + theta.stiffening * R);
    const F = clock * a ** theta.noise_power * Math.max(1 + theta.noise_bias * left(S), 0);
    R = 0;
    for (let i = 0; i < v.length; i++) {
      const l = 2 * curvatures[i], y = l * Y, z = Math.exp(-y), part = y > 1e-3 ? (1 - z) / y : 1 - y * (0.5 - y / 6);
      v[i] = z * v[i] + F * l * q[i] * part;
      R += v[i];
    }
  }
  return { river, valley };
}

// What all runs are off early on (K,), as simlab/twin/transient.py has it: e(t) sum_j c(log S - places_j) pulls_j.
function transientOf({ places, pulls, first, early, at, most, whole, width }, reference, { counts, rates, edges }) {
  const told = Math.exp(Math.min(...places)), sum = pulls.reduce((a, b) => a + b, 0), sums = [0], steps = [0];
  counts.forEach((m, j) => {
    steps.push(steps[j] + m);
    sums.push(sums[j] + (m * rates[j]) / reference);
  });
  return edges.map((k) => {
    const log = Math.log(Math.max(sums[k], told)), t = Math.max(steps[k], first, 1);
    const height = Math.min(early * (at / t) ** 2, most);
    const near = places.reduce((total, place, j) => total + Math.exp(-0.5 * ((log - place) / width) ** 2) * pulls[j], 0);
    return height * (whole * sum + (1 - whole) * near);
  });
}

// A run as `solve` tells it, its optima mixed by their weights; floor is the loss at the end of the river.
function solveTwin(twin, lr, steps) {
  const blocks = blocksOf(lr, steps), parts = steps.map(() => new Float64Array(twin.bands.length));
  const bias = twin.transient ? transientOf(twin.transient, twin.reference, blocks) : steps.map(() => 0);
  let floor = 0;
  for (const { theta, weight } of twin.optima) {
    const { river, valley } = walkTwin(theta, twin, blocks);
    floor += weight * theta.floor;
    river.forEach((b, k) => {
      bias[k] += weight * b;
      valley[k].forEach((x, i) => { parts[k][twin.label[i]] += weight * x; });
    });
  }
  const variance = parts.map((part) => part.reduce((a, b) => a + b, 0)), end = steps.length - 1;
  return {
    steps, bias, variance, floor, status: "done", ended: lr.length, critical: Infinity,
    bandBias: twin.bands.map((_, k) => (k ? 0 : bias[end])), bandVariance: [...parts[end]],
  };
}

// The twin with its gradient noise multiplied: simlab.twin.parameters.noisier.
function noisierTwin(twin, factor) {
  const optima = twin.optima.map(({ theta, weight }) => ({ theta: { ...theta, log_noise: theta.log_noise + Math.log(factor) }, weight }));
  return { ...twin, optima };
}
