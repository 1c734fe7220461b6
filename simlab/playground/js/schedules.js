// Learning-rate schedules as simlab.schedules has them: rates(schedule, T) gives lr_0 .. lr_(T-1).
//
// A schedule is {kind, peak, ..}: a family with a twin here (TWINS), or "knots": straight lines between [u, value], u the
// place in the run from 0 to 1 and value a multiple of the peak. The profiles, SHAPES, are written out from Python's.

const NEVER_ZERO = ["exponential", "inverse-proportional"];
const SHAPE_PARAMETERS = { power: ["power", 2], rex: ["alpha", 0.5], uba: ["phi", 1], "lowered-linear": ["factor", 0.7] };

// Nearest whole number, ties to the even one, as Python's round.
function roundEven(x) {
  const nearest = Math.round(x);
  return Math.abs(x - Math.trunc(x)) === 0.5 && nearest % 2 !== 0 ? nearest - 1 : nearest;
}

// Fractions of a run in steps; where rounding adds a step too many, the last one yields it.
function phases(T, ...fractions) {
  const lengths = fractions.map((fraction) => roundEven(fraction * T));
  for (let i = lengths.length - 1; i >= 0; i--) {
    const over = Math.max(0, lengths.reduce((a, b) => a + b, 0) - T);
    lengths[i] -= Math.min(lengths[i], over);
  }
  return lengths;
}

// The decline of a shape over n steps: j -> multiple of the peak. `floor` is approached as j -> n.
function decline(shape, floor, parameter, n) {
  const f = SHAPES[shape === "lowered-linear" ? "linear" : shape];
  const low = floor ?? (NEVER_ZERO.includes(shape) ? 0.1 : 0);
  if (shape === "exponential") return (j) => f(j / n, (n - j) / n, Math.log(low));
  if (shape === "inverse-proportional") return (j) => f(j / n, (n - j) / n, 1 / low);
  if (shape === "lowered-linear") {
    const end = low / parameter;
    return (j) => parameter * (end + (1 - end) * f(j / n, (n - j) / n));
  }
  return (j) => low + (1 - low) * f(j / n, (n - j) / n, parameter);
}

// Warmup over w steps, then the shape over the rest.
function decay(shape, own) {
  return (s, T) => {
    const [w] = phases(T, s.warmup ?? 0);
    const fall = decline(shape, s.floor, own === undefined ? undefined : s[own], T - w);
    return (t) => (t < w ? (t + 1) / w : fall(t - w));
  };
}

function stable(s, T) {
  const [w, c] = phases(T, s.warmup ?? 0, s.cooldown);
  const own = SHAPE_PARAMETERS[s.shape];
  const fall = decline(s.shape, s.floor, own && (s[own[0]] ?? own[1]), c);
  return (t) => (t < w ? (t + 1) / w : t < T - c ? 1 : fall(t - (T - c)));
}

function inverseSqrt(s, T) {
  const [w] = phases(T, s.warmup ?? 0);
  const n = Math.max(w, 1);
  return (t) => (t < w ? (t + 1) / w : SHAPES["inverse-sqrt"]((t + 1) / n, 0));
}

function level(s, T) {
  const [w] = phases(T, s.warmup ?? 0);
  return (t) => (t < w ? (t + 1) / w : 1);
}

// Knots as whole steps, increasing, the first at 0 and the last at T: [[places], [values]].
function placed(knots, T) {
  const places = [], values = [];
  for (const [u, value] of knots) {
    const place = roundEven(u * T);
    if (places.length && place <= places[places.length - 1]) continue;
    places.push(place);
    values.push(value);
  }
  if (places[0] > 0) {
    places.unshift(0);
    values.unshift(values[0]);
  }
  if (places[places.length - 1] < T) {
    places.push(T);
    values.push(values[values.length - 1]);
  }
  return [places, values];
}

function straight(s, T) {
  const [places, values] = placed(s.knots, T);
  let k = 0;
  return (t) => {
    if (t < places[k]) k = 0;
    while (t >= places[k + 1]) k++;
    const left = places[k], right = places[k + 1], a = values[k], b = values[k + 1];
    const value = a * ((right - t) / (right - left)) + b * ((t - left) / (right - left));
    return Math.min(Math.max(value, Math.min(a, b)), Math.max(a, b));
  };
}

// Family -> (schedule, T) -> (step -> multiple of the peak).
const TWINS = {
  constant: level,
  linear: decay("linear"),
  cosine: decay("cosine"),
  wsd: stable,
  exponential: decay("exponential"),
  polynomial: decay("power", "power"),
  rex: decay("rex", "alpha"),
  uba: decay("uba", "phi"),
  inverse_sqrt: inverseSqrt,
  knots: straight,
};

// Which sliders a family has beside its peak.
const SLIDERS = {
  constant: ["warmup"],
  linear: ["warmup", "floor"],
  cosine: ["warmup", "floor"],
  wsd: ["warmup", "cooldown", "shape", "floor"],
  exponential: ["warmup", "floor"],
  polynomial: ["warmup", "power", "floor"],
  rex: ["warmup", "alpha", "floor"],
  uba: ["warmup", "phi", "floor"],
  inverse_sqrt: ["warmup"],
  knots: [],
};

// The rate at step t, for pictures: step -> lr.
function rateAt(schedule, T) {
  const profile = TWINS[schedule.kind](schedule, T);
  return (t) => schedule.peak * profile(t);
}

function rates(schedule, T) {
  const rate = rateAt(schedule, T);
  const out = new Float64Array(T);
  for (let t = 0; t < T; t++) out[t] = rate(t);
  return out;
}

// At most `most` knots whose straight lines stay near a schedule (Ramer, Douglas and Peucker, the worst point first).
function knotsOf(schedule, T, most = 12, close = 0.004) {
  if (schedule.kind === "knots") return schedule.knots.map((knot) => [...knot]);
  const profile = TWINS[schedule.kind](schedule, T);
  const at = new Set([0, T - 1]);
  for (let i = 0; i <= 240; i++) at.add(Math.min(T - 1, Math.round((i / 240) * T)));
  // The corners are where its phases meet.
  for (const edge of phases(T, schedule.warmup ?? 0, schedule.cooldown ?? 0)) {
    for (const step of [edge - 1, edge, T - edge, T - edge - 1]) if (step >= 0 && step < T) at.add(step);
  }
  const steps = [...at].sort((a, b) => a - b);
  const points = steps.map((t) => [t / T, profile(t)]);
  points.push([1, 2 * profile(T - 1) - profile(T - 2)]);
  points[points.length - 1][1] = Math.max(points[points.length - 1][1], 0);
  const kept = [0, points.length - 1];
  while (kept.length < most) {
    let worst = close, where = -1;
    for (let k = 0; k + 1 < kept.length; k++) {
      const [u0, a] = points[kept[k]], [u1, b] = points[kept[k + 1]];
      for (let i = kept[k] + 1; i < kept[k + 1]; i++) {
        const off = Math.abs(a + ((b - a) * (points[i][0] - u0)) / (u1 - u0) - points[i][1]);
        if (off > worst) [worst, where] = [off, i];
      }
    }
    if (where < 0) break;
    kept.push(where);
    kept.sort((a, b) => a - b);
  }
  return kept.map((i) => points[i]);
}
