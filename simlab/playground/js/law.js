// The optimal schedule of SGD in closed form, in its full form and without a run: simlab/schedules/law.py, which says why.
//
//     lr sqrt(1 + x) / sqrt((1 - m(u, lr)) (1 - m(S - u, lr))) = kappa / q(u),    q(u) = sqrt(K(S - u) (coupling F(u) + noise))

const FINEST = 0.05;
const AGES = 600;
const TIMES = 400;
const RATES = 48;

// Where a function of one number is least between two: golden sections.
function leastBetween(f, low, high, width) {
  const golden = (Math.sqrt(5) - 1) / 2;
  let a = high - golden * (high - low), b = low + golden * (high - low), fa = f(a), fb = f(b);
  while (high - low > width) {
    if (fa < fb) {
      [high, b, fb] = [b, a, fa];
      a = high - golden * (high - low);
      fa = f(a);
    } else {
      [low, a, fa] = [a, b, fb];
      b = low + golden * (high - low);
      fb = f(b);
    }
  }
  return fa < fb ? a : b;
}

// The best of some ascending points, then between its neighbours.
function least(f, points, width = 1e-3) {
  const values = points.map(f), j = values.indexOf(Math.min(...values));
  const x = leastBetween(f, points[Math.max(j - 1, 0)], points[Math.min(j + 1, points.length - 1)], width);
  return f(x) <= values[j] ? x : points[j];
}

// Even steps below `unit` and geometric ones above, from 0 to `end`.
function graded(end, unit, count) {
  const top = Math.log1p(end / unit);
  const out = Float64Array.from({ length: count }, (_, i) => unit * Math.expm1((top * i) / (count - 1)));
  out[count - 1] = end;
  return out;
}

class Law {
  constructor(nodes, T, batch) {
    Object.assign(this, { nodes, T, share: 1 / batch });
    this.top = criticalRate(nodes, { kind: "sgd" }, batch);
    const { lam, own, drive, coupling } = nodes, n = lam.length, third = RATES / 3;
    // Geometric from below, and towards the top, where the mass of a first mode about to ring is steepest.
    const share = (j) => {
      if (j < third) return 1e-7 * (0.08 / 1e-7) ** (j / third);
      if (j < 2 * third) return 0.08 + (0.62 * (j - third)) / third;
      return j < RATES - 1 ? 1 - 0.3 * (0.01 / 0.3) ** ((j - 2 * third) / (third - 2)) : 1;
    };
    this.rates = Float64Array.from({ length: RATES }, (_, j) => this.top * share(j));
    this.ages = graded(this.top * T, FINEST / lam[0], AGES);
    // Mass of each mode at every rate, and x = lr dm/dlr - m.
    const base = Array.from({ length: RATES }, () => new Float64Array(n));
    this.x = new Float64Array(RATES);
    for (let j = 0; j < RATES; j++) {
      for (let i = 0; i < n; i++) {
        const z = Math.min(((lam[i] + (this.share * own[i]) / lam[i]) / 2) * this.rates[j], 1 - 1e-12);
        const least = (coupling * this.share * drive[i] * this.rates[j]) / (2 * lam[i]);
        base[j][i] = least / (1 - z);
        this.x[j] += (least * z) / (1 - z) ** 2;
      }
    }
    this.tabulate(base);
  }

  // log(coupling F + noise), log K and m at all ages.
  tabulate(base) {
    const { lam, signal, drive, noise, coupling } = this.nodes, n = lam.length, left = new Float64Array(n);
    this.loss = new Float64Array(AGES);
    this.memory = new Float64Array(AGES);
    this.back = Array.from({ length: AGES }, () => new Float64Array(RATES));
    for (let a = 0; a < AGES; a++) {
      let F = 0, K = 0;
      for (let i = 0; i < n; i++) {
        left[i] = Math.exp(-2 * lam[i] * this.ages[a]);
        F += signal[i] * left[i];
        K += drive[i] * left[i];
      }
      this.loss[a] = Math.log(Math.max(coupling * F + noise, 1e-300));
      this.memory[a] = Math.log(Math.max(K, 1e-300));
      for (let j = 0; j < RATES; j++) {
        let m = 0;
        for (let i = 0; i < n; i++) m += base[j][i] * (1 - left[i]);
        this.back[a][j] = m;
      }
    }
  }

  // The place of an age in the tables: [row, part of the way to the next].
  place(v) {
    let low = 0, high = AGES - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.ages[middle] <= v) low = middle;
      else high = middle;
    }
    return [low, Math.min(Math.max((v - this.ages[low]) / (this.ages[low + 1] - this.ages[low]), 0), 1)];
  }

  // The law where all rates sum to S: {u, lr, clock, value}.
  at(S) {
    const early = graded(S / 2, FINEST / this.nodes.lam[0], TIMES);
    const u = Float64Array.from([...early, ...[...early.subarray(0, TIMES - 1)].reverse().map((x) => S - x)]);
    const n = u.length, logQ = new Float64Array(n), phi = [], past = [];
    for (let i = 0; i < n; i++) {
      const [a, p] = this.place(u[i]), [b, q] = this.place(S - u[i]);
      logQ[i] = 0.5 * (this.memory[b] * (1 - q) + this.memory[b + 1] * q + this.loss[a] * (1 - p) + this.loss[a + 1] * p);
      const row = new Float64Array(RATES), behind = new Float64Array(RATES);
      for (let j = 0; j < RATES; j++) {
        behind[j] = this.back[a][j] * (1 - p) + this.back[a + 1][j] * p;
        const ahead = this.back[b][j] * (1 - q) + this.back[b + 1][j] * q;
        const level = Math.log(this.rates[j]) + 0.5 * Math.log1p(this.x[j])
          - 0.5 * Math.log(Math.max((1 - behind[j]) * (1 - ahead), 1e-12));
        row[j] = j ? Math.max(row[j - 1], level) : level;
      }
      phi.push(row);
      past.push(behind);
    }
    const lr = new Float64Array(n), returned = new Float64Array(n), clock = new Float64Array(n);
    const steps = (logKappa) => {
      for (let i = 0; i < n; i++) {
        const goal = logKappa - logQ[i], row = phi[i];
        let low = 0, high = RATES - 1;
        while (high - low > 1) {
          const middle = (low + high) >> 1;
          if (row[middle] < goal) low = middle;
          else high = middle;
        }
        const part = Math.min((goal - row[low]) / Math.max(row[high] - row[low], 1e-300), 1);
        const bottom = Math.log(this.rates[low]), inside = Math.min(Math.max(part, 0), 1);
        lr[i] = Math.exp(bottom + part * (Math.log(this.rates[high]) - bottom));
        returned[i] = past[i][low] * (1 - inside) + past[i][high] * inside;
        clock[i] = i ? clock[i - 1] + 0.5 * (u[i] - u[i - 1]) * (1 / lr[i] + 1 / lr[i - 1]) : 0;
      }
      return Math.log(clock[n - 1] / this.T);
    };
    this.bisect(steps, [...logQ].sort((a, b) => a - b)[n >> 1]);
    let value = this.nodes.signal.reduce((sum, f, i) => sum + f * Math.exp(-2 * S * this.nodes.lam[i]), 0);
    const kept = (i) => (Math.exp(2 * logQ[i]) * lr[i]) / Math.max(1 - returned[i], 1e-9);
    for (let i = 1; i < n; i++) value += this.share * 0.5 * (u[i] - u[i - 1]) * (kept(i) + kept(i - 1));
    return { u, lr: lr.slice(), clock: clock.slice(), value: value / 2 };
  }

  // Leaves the arrays of a falling function at its zero.
  bisect(f, guess) {
    let low = guess, high = guess;
    for (let step = 1; f(low) < 0; step *= 2) low -= step;
    for (let step = 1; f(high) > 0; step *= 2) high += step;
    for (let i = 0; i < 50 && high - low > 1e-9; i++) {
      const middle = (low + high) / 2;
      if (f(middle) > 0) low = middle;
      else high = middle;
    }
    f((low + high) / 2);
  }

  // Whether the error decays as fast as noise is forgotten, so that the closure is to be doubted: Law.haste.
  doubtful({ u, clock }) {
    const { lam, signal, drive, noise, coupling } = this.nodes;
    const whole = drive.reduce((sum, g, i) => sum + g / (2 * lam[i]), 0);
    let largest = 0, mean = 0, before = 0;
    for (let j = 0; j < u.length; j++) {
      let forcing = noise, falling = 0, memory = 0;
      for (let i = 0; i < lam.length; i++) {
        const age = 2 * u[j] * lam[i], left = Math.exp(-age);
        forcing += coupling * signal[i] * left;
        falling += coupling * 2 * lam[i] * signal[i] * left;
        memory += ((1 - left * (1 + age)) * drive[i]) / (4 * lam[i] * lam[i]);
      }
      const both = (falling / Math.max(forcing, 1e-300)) * (memory / Math.max(whole, 1e-300));
      largest = Math.max(largest, both);
      if (j) mean += 0.5 * (clock[j] - clock[j - 1]) * (both + before);
      before = both;
    }
    return largest > 0.335 || mean / clock[clock.length - 1] > 0.1;
  }

  // The law with the S of which it foretells the least risk.
  foretold() {
    const end = Math.log(this.top * this.T), widest = Math.max(8, 0.6 * Math.log(this.T));
    const points = Array.from({ length: 12 }, (_, j) => end - widest * (1e-3 / widest) ** (j / 11));
    return this.at(Math.exp(least((x) => Math.log(Math.max(this.at(Math.exp(x)).value, 1e-300)), points)));
  }
}

// Rates in the middle of every step.
function ratesOfLaw({ lr, clock }, T) {
  const out = new Float64Array(T), log = lr.map(Math.log), last = clock[clock.length - 1];
  let k = 0;
  for (let t = 0; t < T; t++) {
    const at = (t + 0.5) * (last / T);
    while (k < clock.length - 2 && clock[k + 1] < at) k++;
    out[t] = Math.exp(log[k] + ((log[k + 1] - log[k]) * (at - clock[k])) / (clock[k + 1] - clock[k]));
  }
  return out;
}
