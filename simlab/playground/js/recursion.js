// The exact second moments of a run, step by step: the recursion of simlab/kernels/moments/steps.py for k <= 2.
//
// Each node carries U = sum lam E[z z^T] in the entries 00, 01, 11. One step, with A = M - lam b c^T and s = sum c^T U c:
//
//     U <- A U A^T + (1/B) [ own c^T U c + drive (coupling s + noise) ] b b^T
//
// The bias starts from the initial error and has no noise, the variance the other way round; they never meet, so that
// each may be stepped by a worker of its own.
//
// The methods of the page are four kinds of A, so that none of its zeros and ones is multiplied by:
//
//     plain      w <- w - lr g
//     buffer     row 0 of A is row 1 + (1, 0), b = (lr, lr); `second` is the momentum                heavy ball, Nesterov
//     mixed      row 1 of A is rho row 0 + (0, 1 - rho), b = (lr, rho lr); `second` is rho           Schedule-Free
//     average    the same with c = (1, 0): the average is not looked at                              averages
//
// Of a node memory holds lam, own, drive and the entries of U, as x, y, q.

const GIVEN = ["lr", "second", "c0", "c1", "share", "kick"];  // share = 1 / B, kick = (coupling s + noise) / B
const SQUARES = `square = lr * lr
  mine = share * square
  k = kick * square`;
const MIXING = `${SQUARES}
  rest = 1 - second
  both = 2 * second * rest
  old = rest * rest
  fresh = second * second`;
const ONE_NUMBER = { given: GIVEN, node: ["lam", "own", "drive", "x"], kept: ["x"] };
const TWO_NUMBERS = { given: GIVEN, node: ["lam", "own", "drive", "x", "y", "q"], kept: ["x", "y", "q"] };
// The sum is s, after the step.
const STEPS = {
  plain: { ...ONE_NUMBER, before: SQUARES, sum: "x", each: `
    a = 1 - lr * lam
    x = (a * a + mine * own) * x + k * drive` },
  buffer: { ...TWO_NUMBERS, before: `${SQUARES}
    q01 = 2 * c1
    q11 = c1 * c1`, sum: "x + q01 * y + q11 * q", each: `
    z = lr * lam
    a = second - z * c1
    g = mine * own * (x + q01 * y + q11 * q) + k * drive
    w = a * y - z * x
    v = a * q - z * y
    up = x + w
    q = a * v - z * w + g
    x = up + a * (y + v) - z * up + g
    y = w + q` },
  average: { ...TWO_NUMBERS, before: MIXING, sum: "x", each: `
    a = 1 - lr * lam
    w = a * y
    x = (a * a + mine * own) * x + k * drive
    y = second * x + rest * w
    q = fresh * x + both * w + old * q` },
  mixed: { ...TWO_NUMBERS, before: `${MIXING}
    q00 = c0 * c0
    q01 = 2 * c0 * c1
    q11 = c1 * c1`, sum: "q00 * x + q01 * y + q11 * q", each: `
    z = lr * lam
    a = 1 - z * c0
    b = 0 - z * c1
    g = mine * own * (q00 * x + q01 * y + q11 * q) + k * drive
    w = a * y + b * q
    x = a * (a * x + b * y) + b * w + g
    y = second * x + rest * w
    q = fresh * x + both * w + old * q` },
};
let machine = null;

const TINY = 1e-290;
const FLUSH = 64;
const DIVERGENCE = 1e6;

// A method on rates lr: {kind, z0, o, c, second}; second(t) is what the kind needs beside lr: momentum or rho.
function methodOf(method, lr) {
  const T = lr.length;
  const buffer = (c) => ({ kind: "buffer", z0: [1, 0], o: [1, 0], c, second: () => method.momentum });
  const average = (second) => ({ kind: "average", z0: [1, 1], o: [0, 1], c: [1, 0], second });
  switch (method.kind) {
    case "heavy_ball": return buffer([1, 0]);
    case "nesterov": return buffer([1, method.momentum]);
    case "ema": return average(() => 1 - method.decay);
    case "tail_average": {
      const first = T - Math.max(1, roundEven(method.window * T)) + 1;
      return average((t) => 1 / Math.max(t + 2 - first, 1));
    }
    case "schedule_free": {
      // The share of the newest weight, max(lr_0 .. lr_t)^2; steps are asked for in order.
      let largest = 0, total = 0;
      const second = (t) => {
        largest = Math.max(largest, lr[t]);
        total += largest * largest;
        return total > 0 ? (largest * largest) / total : 0;
      };
      return { kind: "mixed", z0: [1, 1], o: [0, 1], c: [1 - method.beta, method.beta], second };
    }
    default: return { kind: "plain", z0: [1, 0], o: [1, 0], c: [1, 0], second: () => 0 };
  }
}

// Both parts of a run in memory, one after the other: pairs of nodes side by side, an odd one with a node of nothing.
class Moments {
  constructor(nodes, { kind, z0, o }, batch) {
    machine ??= lanes(STEPS);
    const start = kind === "plain" ? [1] : [z0[0], z0[0] * z0[1], z0[1]];
    Object.assign(this, { nodes, width: 3 + start.length, share: 1 / batch, step: machine[kind] });
    this.bytes = PAIR * this.width * Math.ceil(nodes.lam.length / 2);
    this.numbers = machine.room(2 * this.bytes).subarray(0, this.bytes / 4).fill(0);
    this.weights = [0.5 * o[0] * o[0], o[0] * o[1], 0.5 * o[1] * o[1]].slice(0, start.length);
    [1, 0].forEach((begins, part) => {
      const { lam, own, drive, signal } = nodes;
      for (let i = 0; i < lam.length; i++) {
        const entries = start.map((factor) => factor * begins * signal[i]);
        [lam[i], own[i], drive[i], ...entries].forEach((value, j) => { this.numbers[this.at(part, i, j)] = value; });
      }
    });
  }

  at(part, i, j) {
    return (part * this.bytes) / 8 + 2 * this.width * (i >> 1) + 2 * j + (i & 1);
  }

  // One step of all nodes; returns s after it.
  advance(part, lr, second, c, kick) {
    return this.step(lr, second, c[0], c[1], this.share, this.share * kick, part * this.bytes, (part + 1) * this.bytes);
  }

  flush() {
    const X = this.numbers;
    for (let i = 0; i < X.length; i++) if (Math.abs(X[i]) < TINY) X[i] = 0;
  }

  // Risk 1/2 o^T U o by band.
  risks(part) {
    const { nodes, weights } = this, out = new Float64Array(nodes.bands.length);
    for (let i = 0; i < nodes.lam.length; i++) {
      let risk = 0;
      for (let j = 0; j < weights.length; j++) risk += weights[j] * this.numbers[this.at(part, i, 3 + j)];
      out[nodes.label[i]] += risk;
    }
    return out.map((risk) => (Number.isNaN(risk) ? Infinity : Math.max(risk, 0)));
  }
}

// 1/2 max(initial risk, noise): the scale against which a run counts as diverging.
function referenceRisk(nodes) {
  const sum = (values) => values.reduce((a, b) => a + b, 0);
  return 0.5 * Math.max(sum(nodes.signal), nodes.reference ?? nodes.noise);
}

// About `count` recorded steps, 0 and T among them: equally spaced, or equally in their logarithm.
function recordSteps(T, spacing, count = 200) {
  const steps = new Set([0, T]);
  for (let j = 0; j < count; j++) {
    const part = j / (count - 1);
    steps.add(Math.round(spacing === "log" ? T ** part : T * part));
  }
  return [...steps].sort((a, b) => a - b);
}

const BIAS = 0;
const VARIANCE = 1;

// A run: rates lr (T,), a method, a batch, recorded steps. Risk by step (bias, variance), and by band at the end.
// Ends early, with status "diverged", where twice the risk at the gradient point passes 2 10^6 of its reference. Of one
// part alone it cannot be told when that is: its status is then "open" where it has come half as far.
function solve(nodes, lr, method, batch, steps, parts = [BIAS, VARIANCE]) {
  const T = lr.length, made = methodOf(method, lr), { z0, c, second } = made, moments = new Moments(nodes, made, batch);
  const total = nodes.signal.reduce((a, b) => a + b, 0), s = [0, 0], noise = [0, nodes.noise];
  if (parts.includes(BIAS)) s[BIAS] = total * (c[0] * z0[0] + c[1] * z0[1]) ** 2;
  const whole = 2 * DIVERGENCE * referenceRisk(nodes) || Infinity, limit = parts.length === 2 ? whole : whole / 2;
  const series = [[], []], ends = [[], []], done = [];
  let slot = 0, t = 0, status = "done";
  const record = () => {
    for (const part of parts) {
      const bands = moments.risks(part);
      series[part].push(bands.reduce((a, b) => a + b, 0));
      ends[part] = [...bands];
    }
    done.push(t);
  };
  for (; t < T; t++) {
    if (t === steps[slot]) {
      record();
      slot++;
    }
    const own = second(t);
    for (const part of parts) s[part] = moments.advance(part, lr[t], own, c, nodes.coupling * s[part] + noise[part]);
    if (t % FLUSH === 0) moments.flush();
    if (!(s[BIAS] + s[VARIANCE] <= limit)) {
      status = parts.length === 2 ? "diverged" : "open";
      t++;
      break;
    }
  }
  record();
  const [bias, variance] = series, [bandBias, bandVariance] = ends;
  return { steps: done, bias, variance, status, ended: t, bandBias, bandVariance };
}
