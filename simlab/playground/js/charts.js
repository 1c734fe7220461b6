// The Bokeh figures: what is in them comes from here, what they look like from simlab/playground/figures.py.

function charts(document, data) {
  const model = (name) => document.get_model_by_name(name);
  const put = (name, columns) => { model(name).data = columns; };
  const range = (name, axis, low, high) => model(name)[axis].setv({ start: low, end: high });
  // Whether Bokeh is moving knots just now, whether the page itself is writing them, and what it has written.
  const paused = { knots: false, own: false, drawn: "" };

  // The rates: every 1/300 of a run, and both sides of its corners.
  function curve(schedule, steps) {
    const at = new Set([0, steps - 1]), rate = rateAt(schedule, steps);
    for (let i = 0; i <= 300; i++) at.add(Math.min(steps - 1, Math.round((i / 300) * steps)));
    const corners = schedule.kind === "knots" ? placed(schedule.knots, steps)[0] : phases(steps, schedule.warmup ?? 0, schedule.cooldown ?? 0).flatMap((n) => [n, steps - n]);
    for (const corner of corners) for (const t of [corner - 1, corner]) if (t >= 0 && t < steps) at.add(t);
    const x = [...at].sort((a, b) => a - b);
    return { x, y: x.map(rate) };
  }

  function drawSchedules(state, law, critical) {
    let top = 0;
    for (let j = 0; j < MOST_RUNS; j++) {
      const run = state.runs[j], line = run ? curve(run.schedule, state.steps) : { x: [], y: [] };
      top = line.y.reduce((a, b) => Math.max(a, b), top);
      put(`rate ${j}`, line);
      const renderer = model(`rate line ${j}`);
      renderer.glyph.line_width = j === state.active ? 3 : 1.6;
    }
    put("law", law ? { x: law.steps, y: law.lr } : { x: [], y: [] });
    if (law) top = Math.max(top, Math.max(...law.lr));
    const shown = Number.isFinite(critical) && critical < 2.5 * top;
    put("limit", shown ? { x: [0, state.steps], y: [critical, critical] } : { x: [], y: [] });
    if (shown) top = Math.max(top, critical);
    range("schedules", "x_range", -0.012 * state.steps, 1.012 * state.steps);
    if (!paused.knots) range("schedules", "y_range", -0.03 * top, 1.12 * top || 1);
  }

  function drawKnots(state) {
    if (paused.knots) return;
    const { schedule } = state.runs[state.active], knots = knotsOf(schedule, state.steps);
    const columns = { x: knots.map(([u]) => u * state.steps), y: knots.map(([, value]) => value * schedule.peak) };
    paused.own = true;
    paused.drawn = JSON.stringify(columns);
    put("knots", columns);
    paused.own = false;
    const { glyph } = model("knots renderer");
    glyph.setv({ line_color: data.palette[state.active], fill_color: "white" });
  }

  function drawRisks(state, answer, law) {
    const log = state.spacing === "log";
    model("risk linear").visible = !log;
    model("risk log").visible = log;
    let low = Infinity, high = 0;
    for (let j = 0; j < MOST_RUNS; j++) {
      const run = answer.runs[j];
      const x = run ? run.steps : [], total = run ? run.bias.map((b, i) => b + run.variance[i]) : [];
      const finite = total.map((y, i) => (y > 0 && Number.isFinite(y) && (run.status === "done" || i < total.length - 1) ? y : NaN));
      const part = (values) => (run && j === state.active ? values.map((y) => (y > 0 && Number.isFinite(y) ? y : NaN)) : []);
      put(`total ${j}`, { x, y: finite });
      put(`bias ${j}`, { x: part(x), y: part(run?.bias ?? []) });
      put(`variance ${j}`, { x: part(x), y: part(run?.variance ?? []) });
      model(`risk line linear ${j}`).glyph.line_width = model(`risk line log ${j}`).glyph.line_width = j === state.active ? 3 : 1.8;
      for (const y of finite) if (y > 0) [low, high] = [Math.min(low, y), Math.max(high, y)];
    }
    for (const values of [answer.runs[state.active]?.variance, answer.runs[state.active]?.bias]) {
      const end = values?.[values.length - 1];
      if (end > 0 && Number.isFinite(end)) low = Math.min(low, Math.max(end, low / 30));
    }
    put("law end", law?.risk > 0 ? { x: [state.steps], y: [law.risk] } : { x: [], y: [] });
    if (law?.risk > 0) low = Math.min(low, law.risk);
    if (!(high > 0)) [low, high] = [0.1, 1];
    const start = Math.max(1, answer.runs[0].steps[1] ?? 1);
    for (const name of ["risk linear", "risk log"]) range(name, "y_range", low / 1.4, 1.4 * Math.min(high, 100 * (answer.runs[0].bias[0] || high)));
    range("risk linear", "x_range", -0.012 * state.steps, 1.02 * state.steps);
    range("risk log", "x_range", 0.9 * start, 1.15 * state.steps);
  }

  function drawBars(state, answer) {
    const names = labels(state.runs), { bands, runs } = answer, colors = data.bands;
    const bias = { y: [], left: [], right: [], color: [], band: [] }, variance = { y: [], left: [], right: [], color: [], band: [] };
    let most = 0;
    runs.forEach((run, j) => {
      if (run.status !== "done") return;
      let left = 0;
      for (const [columns, parts] of [[bias, run.bandBias], [variance, run.bandVariance]]) {
        parts.forEach((part, k) => {
          columns.y.push(-j);
          columns.left.push(left);
          left += part;
          columns.right.push(left);
          columns.color.push(colors[Math.round((k * (colors.length - 1)) / Math.max(bands.length - 1, 1))]);
          columns.band.push(bands[k]);
        });
      }
      most = Math.max(most, left);
    });
    put("bias bars", bias);
    put("variance bars", variance);
    const chart = model("bars"), places = runs.map((_, j) => -j);
    model("bars ticker").ticks = places;
    model("bars axis").major_label_overrides = new Map(names.map((name, j) => [-j, runs[j].status === "done" ? name : `${name} (diverges)`]));
    chart.x_range.setv({ start: 0, end: 1.05 * most || 1 });
    chart.y_range.setv({ start: -runs.length + 0.4, end: 0.6 });
  }

  // What a screen reader says of a figure, where the keyboard stops too: Bokeh leaves it nameless.
  function nameFigures() {
    for (const name of data.figures) {
      const { below, left } = model(name), layer = Bokeh.index.find_one(model(name))?.canvas?.events_el;
      if (!layer) continue;
      layer.role = "img";
      layer.ariaLabel = left[0].axis_label ? `${left[0].axis_label} over ${below[0].axis_label}s` : `${below[0].axis_label} of every run`;
    }
  }

  // Figures side by side on one canvas.
  function picture(title) {
    const names = data.figures.filter((name) => name !== "split" && model(name).visible);
    const views = names.map((name) => Bokeh.index.find_one(model(name)));
    const canvases = views.map((view) => view.export("png", false).canvas);
    const ratio = window.devicePixelRatio || 1, width = Math.max(...canvases.map((c) => c.width)), head = 64 * ratio;
    const whole = window.document.createElement("canvas");
    whole.width = width;
    whole.height = head + canvases.reduce((sum, c) => sum + c.height, 0);
    const ink = whole.getContext("2d");
    ink.fillStyle = "white";
    ink.fillRect(0, 0, whole.width, whole.height);
    ink.fillStyle = "black";
    ink.font = `${15 * ratio}px sans-serif`;
    const words = title.split(" ");
    let line = "", y = 22 * ratio;
    for (const word of words) {
      if (ink.measureText(`${line} ${word}`).width > width - 20 * ratio) {
        ink.fillText(line, 10 * ratio, y);
        [line, y] = [word, y + 20 * ratio];
      } else line = `${line} ${word}`.trim();
    }
    ink.fillText(line, 10 * ratio, y);
    let at = head;
    for (const canvas of canvases) {
      ink.drawImage(canvas, 0, at);
      at += canvas.height;
    }
    return whole;
  }

  return { drawSchedules, drawKnots, drawRisks, drawBars, nameFigures, picture, put, model, paused, range };
}
