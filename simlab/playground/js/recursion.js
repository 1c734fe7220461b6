// The exact second moments of a run, step by step: the recursion of simlab/kernels/moments/steps.py for k <= 2.
//
// Each node carries U = sum lam E[z z^T] of the bias and of the variance, in the entries 00, 01, 11. One step, with
// A = M - lam b c^T and s = sum c^T U c:
//
//     U <- A U A^T + (1/B) [ own c^T U c + drive (coupling s + noise) ] b b^T        (noise enters the variance alone)
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

// One step of all nodes; returns s after it, [of the bias, of the variance]. U holds, node by node, the entries of the
// bias and those of the variance.
function stepPlain(lr, _, c, share, kickBias, kickVariance, nodes, U) {
  const { lam, own, drive } = nodes, n = lam.length;
  const square = lr * lr, mine = share * square, kb = kickBias * square, kv = kickVariance * square;
  let bias = 0, variance = 0;
  for (let i = 0, j = 0; i < n; i++, j += 2) {
    let factor = 1 - lr * lam[i];
    factor = factor * factor + mine * own[i];
    const f = drive[i], x = factor * U[j] + kb * f, y = factor * U[j + 1] + kv * f;
    U[j] = x;
    U[j + 1] = y;
    bias += x;
    variance += y;
  }
  return [bias, variance];
}

function stepBuffer(lr, beta, c, share, kickBias, kickVariance, nodes, U) {
  const { lam, own, drive } = nodes, n = lam.length, c1 = c[1], q01 = 2 * c1, q11 = c1 * c1;
  const square = lr * lr, mine = share * square, kb = kickBias * square, kv = kickVariance * square;
  let bias = 0, variance = 0;
  for (let i = 0, j = 0; i < n; i++, j += 6) {
    const z = lr * lam[i], a = beta - z * c1, r = mine * own[i], f = drive[i];  // row 1 is (-z, a)
    let x = U[j], y = U[j + 1], q = U[j + 2], g = r * (x + q01 * y + q11 * q) + kb * f;
    let w = a * y - z * x, v = a * q - z * y, up = x + w;
    q = a * v - z * w + g;
    x = up + a * (y + v) - z * up + g;
    y = w + q;
    U[j] = x; U[j + 1] = y; U[j + 2] = q;
    bias += x + q01 * y + q11 * q;
    x = U[j + 3]; y = U[j + 4]; q = U[j + 5];
    g = r * (x + q01 * y + q11 * q) + kv * f;
    w = a * y - z * x; v = a * q - z * y; up = x + w;
    q = a * v - z * w + g;
    x = up + a * (y + v) - z * up + g;
    y = w + q;
    U[j + 3] = x; U[j + 4] = y; U[j + 5] = q;
    variance += x + q01 * y + q11 * q;
  }
  return [bias, variance];
}

function stepAverage(lr, rho, c, share, kickBias, kickVariance, nodes, U) {
  const { lam, own, drive } = nodes, n = lam.length, rest = 1 - rho, both = 2 * rho * rest, old = rest * rest, fresh = rho * rho;
  const square = lr * lr, mine = share * square, kb = kickBias * square, kv = kickVariance * square;
  let bias = 0, variance = 0;
  for (let i = 0, j = 0; i < n; i++, j += 6) {
    const a = 1 - lr * lam[i], factor = a * a + mine * own[i], f = drive[i];
    let x = factor * U[j] + kb * f, w = a * U[j + 1];
    U[j] = x;
    U[j + 1] = rho * x + rest * w;
    U[j + 2] = fresh * x + both * w + old * U[j + 2];
    bias += x;
    x = factor * U[j + 3] + kv * f;
    w = a * U[j + 4];
    U[j + 3] = x;
    U[j + 4] = rho * x + rest * w;
    U[j + 5] = fresh * x + both * w + old * U[j + 5];
    variance += x;
  }
  return [bias, variance];
}

function stepMixed(lr, rho, c, share, kickBias, kickVariance, nodes, U) {
  const { lam, own, drive } = nodes, n = lam.length, c0 = c[0], c1 = c[1];
  const q00 = c0 * c0, q01 = 2 * c0 * c1, q11 = c1 * c1, rest = 1 - rho, both = 2 * rho * rest;
  const square = lr * lr, mine = share * square, kb = kickBias * square, kv = kickVariance * square;
  let bias = 0, variance = 0;
  for (let i = 0, j = 0; i < n; i++, j += 6) {
    const z = lr * lam[i], a = 1 - z * c0, b = -z * c1, r = mine * own[i], f = drive[i];  // row 0 is (a, b)
    let x = U[j], y = U[j + 1], q = U[j + 2], g = r * (q00 * x + q01 * y + q11 * q) + kb * f;
    let w = a * y + b * q;
    x = a * (a * x + b * y) + b * w + g;
    y = rho * x + rest * w;
    q = rho * rho * x + both * w + rest * rest * q;
    U[j] = x; U[j + 1] = y; U[j + 2] = q;
    bias += q00 * x + q01 * y + q11 * q;
    x = U[j + 3]; y = U[j + 4]; q = U[j + 5];
    g = r * (q00 * x + q01 * y + q11 * q) + kv * f;
    w = a * y + b * q;
    x = a * (a * x + b * y) + b * w + g;
    y = rho * x + rest * w;
    q = rho * rho * x + both * w + rest * rest * q;
    U[j + 3] = x; U[j + 4] = y; U[j + 5] = q;
    variance += q00 * x + q01 * y + q11 * q;
  }
  return [bias, variance];
}

function flush(U) {
  for (let i = 0; i < U.length; i++) if (Math.abs(U[i]) < TINY) U[i] = 0;
}

// Risk 1/2 o^T U o by component and band, [bias.., variance..].
function risks(U, size, o, nodes) {
  const bands = nodes.bands.length, out = new Float64Array(2 * bands), per = size === 1 ? 1 : 3;
  const w00 = 0.5 * o[0] * o[0], w01 = o[0] * o[1], w11 = 0.5 * o[1] * o[1];
  for (let i = 0; i < nodes.lam.length; i++) {
    for (let part = 0; part < 2; part++) {
      const j = (2 * i + part) * per;
      const risk = per === 1 ? w00 * U[j] : w00 * U[j] + w01 * U[j + 1] + w11 * U[j + 2];
      out[part * bands + nodes.label[i]] += risk;
    }
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

// A run: rates lr (T,), a method, a batch, recorded steps. Risk by step (bias, variance), and by band at the end.
// Ends early, with status "diverged", where the risk at the gradient point passes 10^6 of its reference.
function solve(nodes, lr, method, batch, steps) {
  const T = lr.length, { step, z0, o, c, second } = methodOf(method, lr), size = step === stepPlain ? 1 : 2;
  const share = 1 / batch, n = nodes.lam.length, U = new Float64Array(size === 1 ? 2 * n : 6 * n);
  for (let i = 0; i < n; i++) {
    if (size === 1) U[2 * i] = nodes.signal[i];
    else U.set([z0[0] * nodes.signal[i], z0[0] * z0[1] * nodes.signal[i], z0[1] * nodes.signal[i]], 6 * i);
  }
  const total = nodes.signal.reduce((a, b) => a + b, 0);
  let s = [total * (c[0] * z0[0] + c[1] * z0[1]) ** 2, 0];
  const limit = 2 * DIVERGENCE * referenceRisk(nodes) || Infinity;
  const bias = [], variance = [], done = [];
  let slot = 0, t = 0, parts = null, status = "done";
  const record = () => {
    parts = risks(U, size, o, nodes);
    const bands = nodes.bands.length, sum = (from) => parts.subarray(from, from + bands).reduce((a, b) => a + b, 0);
    bias.push(sum(0));
    variance.push(sum(bands));
    done.push(t);
  };
  for (; t < T; t++) {
    if (t === steps[slot]) {
      record();
      slot++;
    }
    const kickBias = share * nodes.coupling * s[0], kickVariance = share * (nodes.coupling * s[1] + nodes.noise);
    s = step(lr[t], second(t), c, share, kickBias, kickVariance, nodes, U);
    if (t % FLUSH === 0) flush(U);
    if (!(s[0] + s[1] <= limit)) {
      status = "diverged";
      t++;
      break;
    }
  }
  record();
  const bands = nodes.bands.length;
  return {
    steps: done, bias, variance, status, ended: t,
    bandBias: [...parts.subarray(0, bands)], bandVariance: [...parts.subarray(bands)],
  };
}
