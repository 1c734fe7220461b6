// The exact second moments of a run, step by step: the recursion of simlab/kernels/moments/steps.py for k <= 2.
//
// Each node carries U = sum lam E[z z^T] in the entries 00, 01, 11. One step, with A = M - lam b c^T and s = sum c^T U c:
//
//     U <- A U A^T + (1/B) [ own c^T U c + drive (coupling s + noise) ] b b^T
//
// The bias starts from the initial error and has no noise, the variance the other way round; they never meet, so that
// each may be stepped by a worker of its own.
//
// The methods of the page are three kinds of A, so that none of its zeros and ones is multiplied by:
//
//     plain      w <- w - lr g
//     buffer     row 0 of A is row 1 + (1, 0), b = (lr, lr)                          heavy ball, Nesterov
//     mixed      row 1 of A is rho row 0 + (0, 1 - rho), b = (lr, rho lr)            Schedule-Free
//     average    the same with c = (1, 0): the average is not looked at              averages

const TINY = 1e-290;
const FLUSH = 64;
const DIVERGENCE = 1e6;

// A method on rates lr: {step, z0, o, c, second}; second(t) is what the kind needs beside lr: momentum or rho.
function methodOf(method, lr) {
  const T = lr.length;
  const buffer = (c) => ({ step: stepBuffer, z0: [1, 0], o: [1, 0], c, second: () => method.momentum });
  const average = (second) => ({ step: stepAverage, z0: [1, 1], o: [0, 1], c: [1, 0], second });
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
      return { step: stepMixed, z0: [1, 1], o: [0, 1], c: [1 - method.beta, method.beta], second };
    }
    default: return { step: stepPlain, z0: [1, 0], o: [1, 0], c: [1, 0], second: () => 0 };
  }
}

// One step of all nodes; returns s after it. kick = (coupling s + noise) / B. X holds, node by node, lam, own, drive and
// the entries of U: one array, which the compiler checks once, is twice as fast as four.
function stepPlain(lr, _, c, share, kick, X) {
  const square = lr * lr, mine = share * square, k = kick * square;
  let s = 0;
  for (let j = 0; j < X.length; j += 4) {
    const a = 1 - lr * X[j], x = (a * a + mine * X[j + 1]) * X[j + 3] + k * X[j + 2];
    X[j + 3] = x;
    s += x;
  }
  return s;
}

function stepBuffer(lr, beta, c, share, kick, X) {
  const square = lr * lr, mine = share * square, k = kick * square;
  const c1 = c[1], q01 = 2 * c1, q11 = c1 * c1;
  let s = 0;
  for (let j = 0; j < X.length; j += 6) {
    const z = lr * X[j], a = beta - z * c1;  // row 1 is (-z, a)
    let x = X[j + 3], y = X[j + 4], q = X[j + 5];
    const g = mine * X[j + 1] * (x + q01 * y + q11 * q) + k * X[j + 2];
    const w = a * y - z * x, v = a * q - z * y, up = x + w;
    q = a * v - z * w + g;
    x = up + a * (y + v) - z * up + g;
    y = w + q;
    X[j + 3] = x;
    X[j + 4] = y;
    X[j + 5] = q;
    s += x + q01 * y + q11 * q;
  }
  return s;
}

function stepAverage(lr, rho, c, share, kick, X) {
  const square = lr * lr, mine = share * square, k = kick * square;
  const rest = 1 - rho, both = 2 * rho * rest, old = rest * rest, fresh = rho * rho;
  let s = 0;
  for (let j = 0; j < X.length; j += 6) {
    const a = 1 - lr * X[j], x = (a * a + mine * X[j + 1]) * X[j + 3] + k * X[j + 2], w = a * X[j + 4];
    X[j + 3] = x;
    X[j + 4] = rho * x + rest * w;
    X[j + 5] = fresh * x + both * w + old * X[j + 5];
    s += x;
  }
  return s;
}

function stepMixed(lr, rho, c, share, kick, X) {
  const square = lr * lr, mine = share * square, k = kick * square;
  const c0 = c[0], c1 = c[1], q00 = c0 * c0, q01 = 2 * c0 * c1, q11 = c1 * c1;
  const rest = 1 - rho, both = 2 * rho * rest, old = rest * rest, fresh = rho * rho;
  let s = 0;
  for (let j = 0; j < X.length; j += 6) {
    const z = lr * X[j], a = 1 - z * c0, b = -z * c1;  // row 0 is (a, b)
    let x = X[j + 3], y = X[j + 4], q = X[j + 5];
    const g = mine * X[j + 1] * (q00 * x + q01 * y + q11 * q) + k * X[j + 2], w = a * y + b * q;
    x = a * (a * x + b * y) + b * w + g;
    y = rho * x + rest * w;
    q = fresh * x + both * w + old * q;
    X[j + 3] = x;
    X[j + 4] = y;
    X[j + 5] = q;
    s += q00 * x + q01 * y + q11 * q;
  }
  return s;
}

function flush(X) {
  for (let i = 0; i < X.length; i++) if (Math.abs(X[i]) < TINY) X[i] = 0;
}

// Risk 1/2 o^T U o by band.
function risks(X, size, o, nodes) {
  const out = new Float64Array(nodes.bands.length), w00 = 0.5 * o[0] * o[0], w01 = o[0] * o[1], w11 = 0.5 * o[1] * o[1];
  for (let i = 0; i < nodes.lam.length; i++) {
    const risk = size === 1 ? w00 * X[4 * i + 3] : w00 * X[6 * i + 3] + w01 * X[6 * i + 4] + w11 * X[6 * i + 5];
    out[nodes.label[i]] += risk;
  }
  return out.map((risk) => (Number.isNaN(risk) ? Infinity : Math.max(risk, 0)));
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
  const T = lr.length, { step, z0, o, c, second } = methodOf(method, lr), size = step === stepPlain ? 1 : 2;
  const share = 1 / batch, n = nodes.lam.length, start = size === 1 ? [1] : [z0[0], z0[0] * z0[1], z0[1]];
  const state = [1, 0].map((begins) => {
    const X = new Float64Array((3 + start.length) * n);
    for (let i = 0; i < n; i++) {
      const entries = start.map((factor) => factor * begins * nodes.signal[i]);
      X.set([nodes.lam[i], nodes.own[i], nodes.drive[i], ...entries], (3 + start.length) * i);
    }
    return X;
  });
  const total = nodes.signal.reduce((a, b) => a + b, 0), s = [0, 0], noise = [0, nodes.noise];
  if (parts.includes(BIAS)) s[BIAS] = total * (c[0] * z0[0] + c[1] * z0[1]) ** 2;
  const whole = 2 * DIVERGENCE * referenceRisk(nodes) || Infinity, limit = parts.length === 2 ? whole : whole / 2;
  const series = [[], []], ends = [[], []], done = [];
  let slot = 0, t = 0, status = "done";
  const record = () => {
    for (const part of parts) {
      const bands = risks(state[part], size, o, nodes);
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
    for (const part of parts) {
      s[part] = step(lr[t], own, c, share, share * (nodes.coupling * s[part] + noise[part]), state[part]);
      if (t % FLUSH === 0) flush(state[part]);
    }
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
