// What is on the screen: a plain object, which the address of the page carries and `window.simlab.state` shows.

const MOST_RUNS = 4;
const METHODS = {
  sgd: { name: "SGD" },
  heavy_ball: { name: "heavy ball", own: ["momentum", 0.9] },
  nesterov: { name: "Nesterov", own: ["momentum", 0.9] },
  ema: { name: "EMA of SGD", own: ["decay", 0.999] },
  tail_average: { name: "tail average of SGD", own: ["window", 0.3] },
  schedule_free: { name: "Schedule-Free", own: ["beta", 0.9] },
};
const FAMILY_NAMES = { wsd: "WSD", inverse_sqrt: "inverse sqrt", optimum: "the twin's optimum", rex: "REX", uba: "UBA" };
// Every number of a state: [least, largest, default].
const BOUNDS = {
  steps: [10, 1e6, 20000], dim: [1, 1e12, 1e4], capacity: [0, 6, 1.5], source: [0, 6, 1.2], noise: [0, 1e6, 1],
  peak: [1e-9, 100, 0.3], warmup: [0, 1, 0.01], cooldown: [0, 1, 0.2], floor: [0, 1, 0], power: [0.1, 20, 2], alpha: [0, 0.999, 0.5],
  phi: [1e-3, 100, 1], factor: [1e-3, 1, 0.7], momentum: [0, 0.9999, 0.9], decay: [0, 0.999999, 0.999], window: [0, 1, 0.3], beta: [0, 0.9999, 0.9],
  batch: [1, 1e6, 1],
};
const WHOLE = ["steps", "dim", "batch"];

// Whether a table has this entry of its own: an address may say anything.
function known(table, name) {
  return typeof name === "string" && Object.hasOwn(table, name);
}

function clamped(name, value) {
  const [low, high, usual] = BOUNDS[name], number = Number(value);
  const kept = value === null || value === "" || Number.isNaN(number) ? usual : Math.min(Math.max(number, low), high);
  return WHOLE.includes(name) ? Math.round(kept) : kept;
}

// Knots in order, inside the run, at least two.
function orderly(knots) {
  const inside = (Array.isArray(knots) ? knots : []).filter((knot) => Array.isArray(knot) && knot.every(Number.isFinite))
    .map(([u, value]) => [Math.min(Math.max(u, 0), 1), Math.max(value, 0)]).sort((a, b) => a[0] - b[0]).slice(0, 60);
  return inside.length >= 2 ? inside : [[0, 1], [1, 0]];
}

function wholeSchedule(given) {
  const kind = known(TWINS, given?.kind) ? given.kind : "wsd";
  const made = { kind, peak: clamped("peak", given?.peak) };
  if (kind === "knots") {
    const from = given.from ? { from: String(given.from) } : {}, still = given.moved === false ? { moved: false } : {};
    return { ...made, knots: orderly(given.knots), ...from, ...still };
  }
  for (const name of SLIDERS[kind]) {
    if (name === "shape") made.shape = known(COOLDOWNS, given?.shape) ? given.shape : "linear";
    else made[name] = clamped(name, given?.[name] ?? (name === "floor" && kind === "exponential" ? 0.1 : undefined));
  }
  const own = SHAPE_PARAMETERS[made.shape]?.[0];
  if (own) made[own] = clamped(own, given?.[own]);
  if (kind === "wsd") made.cooldown = Math.min(made.cooldown, 1 - made.warmup);
  if (NEVER_ZERO.includes(kind === "wsd" ? made.shape : kind)) made.floor = made.floor > 0 ? Math.max(made.floor, 1e-4) : 0.1;
  if (made.shape === "lowered-linear") made.floor = Math.min(made.floor, made.factor);
  return made;
}

// The formulas that a cooldown may have: those of SHAPES that end, and the lowered line.
const COOLDOWNS = Object.fromEntries([...Object.keys(SHAPES).filter((name) => name !== "inverse-sqrt"), "lowered-linear"].map((name) => [name, true]));

function wholeRun(given, twin) {
  if (twin) return { schedule: wholeSchedule(given?.schedule), method: { kind: "sgd" }, batch: 1 };
  const kind = known(METHODS, given?.method?.kind) ? given.method.kind : "sgd", own = METHODS[kind].own;
  const method = own ? { kind, [own[0]]: clamped(own[0], given?.method?.[own[0]] ?? own[1]) } : { kind };
  return { schedule: wholeSchedule(given?.schedule), method, batch: clamped("batch", given?.batch) };
}

// The twin of a training run that the page shows in place of a problem, or null.
function twinOf({ spectrum }) {
  return spectrum?.optima ? spectrum : null;
}

// A state with everything that it needs and nothing else, of whatever an address says.
function wholeState(state, data) {
  const problem = data.spectrum
    ? { given: true, noise: clamped("noise", state?.problem?.noise ?? 1) }
    : Object.fromEntries(["dim", "capacity", "source", "noise"].map((name) => [name, clamped(name, state?.problem?.[name])]));
  const runs = (Array.isArray(state?.runs) && state.runs.length ? state.runs : [{}]).slice(0, MOST_RUNS).map((run) => wholeRun(run, twinOf(data)));
  return {
    problem, steps: clamped("steps", state?.steps), spacing: state?.spacing === "log" ? "log" : "linear",
    tab: state?.tab === "river" ? "river" : "risk", active: Math.min(Math.max(Math.round(Number(state?.active) || 0), 0), runs.length - 1), runs,
  };
}

function readAddress(hash) {
  try {
    return JSON.parse(decodeURIComponent(hash.replace(/^#/, "")));
  } catch {
    return null;
  }
}

function writeAddress(state) {
  return `#${encodeURIComponent(JSON.stringify(state))}`;
}

function familyName(kind) {
  return FAMILY_NAMES[kind] ?? kind.replaceAll("_", " ");
}

// What a run is called: its schedule, its method where it is not SGD, and its batch where that is not one.
function labelOf({ schedule, method, batch }) {
  const shape = schedule.kind === "wsd" && schedule.shape !== "linear" ? ` ${schedule.shape}` : "";
  const name = schedule.kind === "knots" ? (schedule.from ? `${familyName(schedule.from)}${schedule.moved === false ? "" : ", moved"}` : "knots") : familyName(schedule.kind) + shape;
  const by = { sgd: "", ema: " + EMA", tail_average: " + tail average", heavy_ball: ", heavy ball", nesterov: ", Nesterov", schedule_free: ", Schedule-Free" };
  return name + by[method.kind] + (batch > 1 ? `, batch ${batch}` : "");
}

// Labels that tell the runs apart.
function labels(runs) {
  const plain = runs.map(labelOf);
  return plain.map((label, j) => {
    if (plain.filter((other) => other === label).length === 1) return label;
    return `${label}, peak ${format(runs[j].schedule.peak)}${plain.some((other, k) => k < j && other === label && runs[k].schedule.peak === runs[j].schedule.peak) ? ` (${j + 1})` : ""}`;
  });
}

function format(x, digits = 3) {
  if (x === 0) return "0";
  if (!Number.isFinite(x)) return "∞";
  if (Math.abs(x) >= 1e4 && Number.isInteger(x)) return x.toLocaleString("en-US");
  return Math.abs(x) < 1e-3 || Math.abs(x) >= 1e6 ? x.toExponential(digits - 1) : String(Number(x.toPrecision(digits)));
}
