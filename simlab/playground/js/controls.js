// The forms: native sliders and lists, so that a keyboard and a screen reader find them.

// A slider moves evenly in `to(value)`; `back` undoes it.
const SCALES = {
  even: { to: (x) => x, back: (x) => x },
  log: { to: Math.log10, back: (x) => 10 ** x },
  log2: { to: Math.log2, back: (x) => 2 ** x },
  // Down to 0, which lies at the left end.
  logOrZero: { to: (x) => (x > 1e-4 ? Math.log10(x) : -4), back: (x) => (x <= -4 ? 0 : 10 ** x) },
  // Decades of 1 - x.
  nearOne: { to: (x) => -Math.log10(1 - x), back: (x) => 1 - 10 ** -x },
};
const THREE = (x) => Number(x.toPrecision(3));
const TWO = (x) => Number(x.toPrecision(2));

// name -> what it is called, its scale, ends and step of the slider, how its value is rounded and shown.
const KNOBS = {
  steps: { title: "steps T", scale: "log", ends: [3, 6, 0.05], round: (x) => Math.round(TWO(x)) },
  dim: { title: "dimension d", scale: "log", ends: [1, 8, 0.1], round: (x) => Math.round(TWO(x)) },
  capacity: { title: "capacity a, λᵢ = i⁻ᵃ", scale: "even", ends: [0.5, 3, 0.05], round: THREE },
  source: { title: "source b, λᵢ(w₀−w*)ᵢ² = i⁻ᵇ", scale: "even", ends: [0.5, 3, 0.05], round: THREE },
  noise: { title: "noise variance σ²", scale: "logOrZero", ends: [-4, 2, 0.1], round: TWO },
  peak: { title: "peak learning rate", scale: "log", ends: [-3, 0.5, 0.01], round: THREE },
  warmup: { title: "warmup", scale: "even", ends: [0, 0.5, 0.005], round: THREE, show: (x) => percent(x) },
  cooldown: { title: "cooldown", scale: "even", ends: [0, 1, 0.01], round: THREE, show: (x) => percent(x) },
  floor: { title: "floor (of the peak)", scale: "even", ends: [0, 1, 0.01], round: THREE, show: (x) => percent(x) },
  power: { title: "power", scale: "even", ends: [0.2, 6, 0.1], round: THREE },
  alpha: { title: "REX α", scale: "even", ends: [0, 0.95, 0.01], round: THREE },
  phi: { title: "UBA φ", scale: "log", ends: [-1.5, 1.5, 0.05], round: THREE },
  factor: { title: "start of the cooldown", scale: "even", ends: [0.05, 1, 0.01], round: THREE, show: (x) => percent(x) },
  momentum: { title: "momentum β", scale: "even", ends: [0, 0.99, 0.01], round: THREE },
  decay: { title: "EMA decay α", scale: "nearOne", ends: [0.5, 5, 0.05], round: (x) => Number(x.toFixed(6)), show: (x) => String(x) },
  window: { title: "window (of the run)", scale: "even", ends: [0.01, 1, 0.01], round: THREE, show: (x) => percent(x) },
  beta: { title: "Schedule-Free β", scale: "even", ends: [0, 0.99, 0.01], round: THREE },
  batch: { title: "batch B", scale: "log2", ends: [0, 12, 1], round: (x) => Math.round(x) },
};

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

// One slider with its name and value. `change(value)` is called at every move.
function slider(name, value, change, title) {
  const knob = KNOBS[name], scale = SCALES[knob.scale], show = knob.show ?? ((x) => format(x));
  const [low, high, step] = knob.ends, at = scale.to(value);
  const shown = element("output", {}, show(value)), named = title ?? knob.title;
  const input = element("input", {
    type: "range", min: Math.min(low, at), max: Math.max(high, at), step: "any", value: at, "data-name": name,
    // The label is that of the output, which comes first.
    "aria-label": named, "aria-valuetext": show(value),
    oninput: () => {
      const moved = clamped(name, knob.round(scale.back(Number(input.value))));
      shown.textContent = show(moved);
      input.setAttribute("aria-valuetext", show(moved));
      change(moved);
    },
    // With step "any" the arrows would move by a hundredth; they move by the step of the knob.
    onkeydown: (event) => {
      const way = { ArrowRight: 1, ArrowUp: 1, PageUp: 10, ArrowLeft: -1, ArrowDown: -1, PageDown: -10 }[event.key];
      if (!way) return;
      event.preventDefault();
      input.value = Number(input.value) + way * step;
      input.dispatchEvent(new Event("input"));
    },
  });
  return element("label", { class: "slider" }, element("span", {}, named), shown, input);
}

function choice(title, options, value, change, name) {
  const made = element("select", { onchange: () => change(made.value), "data-name": name });
  for (const [group, entries] of options) {
    const into = group ? element("optgroup", { label: group }) : made;
    for (const [key, text] of entries) into.append(element("option", { value: key, selected: key === value }, text));
    if (group) made.append(into);
  }
  made.value = value;
  return element("label", { class: "choice" }, element("span", {}, title), made);
}

// Sliders of the problem.
function problemForm(state, data, change) {
  if (state.problem.given) {
    const title = twinOf(data) ? "gradient noise (times the run's; 1 / batch)" : "noise (times that of the problem)";
    return [element("p", { class: "note" }, data.title), slider("noise", state.problem.noise, (x) => change("noise", x), title),
      slider("steps", state.steps, (x) => change("steps", x))];
  }
  const names = ["capacity", "source", "noise", "dim"];
  return [...names.map((name) => slider(name, state.problem[name], (x) => change(name, x))), slider("steps", state.steps, (x) => change("steps", x))];
}

// Everything about the active run.
function runForm(run, data, { schedule, method, batch, start }) {
  const { kind } = run.schedule, families = Object.keys(SLIDERS).filter((name) => name !== "knots").map((name) => [name, familyName(name)]);
  const starts = Object.keys(data.starts).map((name) => [`start ${name}`, familyName(name)]);
  const own = [...SLIDERS[kind], ...(run.schedule.shape in SHAPE_PARAMETERS ? [SHAPE_PARAMETERS[run.schedule.shape][0]] : [])];
  const moved = run.schedule.from ? `knots (${familyName(run.schedule.from)})` : "knots";
  const made = [
    choice("schedule", [["", [["knots", moved]]], ["with sliders", families], ["as knots to drag", starts]], kind, start, "schedule"),
    slider("peak", run.schedule.peak, (x) => schedule("peak", x)),
  ];
  for (const name of own) {
    if (name === "shape") made.push(choice("cooldown shape", [["", Object.keys(COOLDOWNS).map((key) => [key, key])]], run.schedule.shape, (x) => schedule("shape", x), "shape"));
    else made.push(slider(name, run.schedule[name], (x) => schedule(name, x)));
  }
  if (twinOf(data)) return made;
  made.push(choice("method", [["", Object.entries(METHODS).map(([key, { name }]) => [key, name])]], run.method.kind, (x) => method("kind", x), "method"));
  const parameter = METHODS[run.method.kind].own?.[0];
  if (parameter) made.push(slider(parameter, run.method[parameter], (x) => method(parameter, x)));
  made.push(slider("batch", run.batch, batch));
  return made;
}

// Knots for a keyboard: every one a button that the arrows move.
function knotButtons(schedule, steps, move, remove, add) {
  const knots = knotsOf(schedule, steps), tall = Math.max(...knots.map(([, value]) => value), 1e-9);
  const buttons = knots.map(([u, value], j) => element("button", {
    type: "button", class: "knot", "data-knot": j, title: "arrows move it, Delete removes it",
    "aria-label": `knot ${j + 1}: step ${format(Math.round(u * steps))}, rate ${format(value * schedule.peak)}; arrows move it, Delete removes it`,
    onkeydown: (event) => {
      const [du, dv] = { ArrowLeft: [-0.01, 0], ArrowRight: [0.01, 0], ArrowUp: [0, 0.02 * tall], ArrowDown: [0, -0.02 * tall] }[event.key] ?? [0, 0];
      if (du || dv) {
        event.preventDefault();
        move(j, u + du, value + dv);
      } else if (["Delete", "Backspace"].includes(event.key)) {
        event.preventDefault();
        remove(j);
      }
    },
  }, `${j + 1}`));
  return [...buttons, element("button", { type: "button", class: "knot", onclick: add, "aria-label": "add a knot", title: "add a knot" }, "+")];
}
