// The page: its state, the workers that answer, and what happens at every stroke.

function startPage(data) {
  const find = (id) => document.getElementById(id);
  const draw = charts(Bokeh.documents[0], data);
  const { ask, answerOf, workers } = startPool(data, document.getElementById("engine").textContent);
  const twin = twinOf(data);
  BOUNDS.peak[2] = data.start.runs[0]?.schedule.peak ?? BOUNDS.peak[2];
  if (twin) KNOBS.peak.ends = [Math.log10(twin.reference) - 1.5, Math.log10(twin.reference), 0.01];
  let state = wholeState(readAddress(location.hash) ?? data.start, data);
  let answer = null, law = null, lawKey = "", lawPending = null, interrupt = null;
  let running = false, again = false, river = null;

  // The newest state is answered; those that came meanwhile are passed over. The law comes later, and keeps nobody waiting.
  async function recompute() {
    again = true;
    interrupt?.();
    if (running) return;
    running = true;
    find("busy").hidden = false;
    while (again) {
      again = false;
      const asked = state, { problem, steps, runs } = asked, began = performance.now();
      answer = await answerOf(asked);
      api.answer = { ...answer, labels: labels(runs), stroke: performance.now() - began, workers: workers() };
      show();
      if (again) continue;
      const batch = runs[asked.active].batch, key = JSON.stringify([problem, steps, batch]);
      if (key !== lawKey) {
        lawPending ??= ask({ type: "law", problem, steps, batch }, LAW).then((found) => {
          [law, lawKey, lawPending] = [found, key, null];
        });
        await Promise.race([lawPending, new Promise((settle) => { interrupt = settle; })]);
        // What has come may be the law of an earlier stroke.
        again ||= key !== lawKey;
      }
      if (again) continue;
      api.answer = { ...api.answer, law, sentence: said(law) };
      show();
    }
    running = false;
    find("busy").hidden = true;
    settled.splice(0).forEach((settle) => settle(api.answer));
  }

  const settled = [];
  const idle = () => (running || again ? new Promise((settle) => settled.push(settle)) : Promise.resolve(api.answer));

  // -- what is on the screen

  // Another state: `forms` says whether sliders are made anew (not while one of them moves).
  function set(next, forms = true) {
    state = wholeState(next, data);
    api.state = state;
    history.replaceState(null, "", writeAddress(state));
    if (forms) makeForms();
    sketch();
    recompute();
  }

  function change(alter, forms = false) {
    const next = structuredClone(state);
    alter(next);
    set(next, forms);
  }

  function changeRun(alter, forms) {
    change((next) => alter(next.runs[next.active]), forms);
  }

  const said = (found) => (twin ? twinSentence(state, answer, twin) : sentence(state, answer, found));

  // What needs no answer: the rates themselves.
  function sketch() {
    const key = JSON.stringify([state.problem, state.steps, state.runs[state.active].batch]);
    draw.drawSchedules(state, key === lawKey ? law : null, answer?.runs[state.active]?.critical);
    draw.drawKnots(state);
    restartRiver();
  }

  function show() {
    if (answer.runs.length !== state.runs.length) return;
    const key = JSON.stringify([state.problem, state.steps, state.runs[state.active].batch]), known = key === lawKey ? law : null;
    draw.drawSchedules(state, known, answer.runs[state.active].critical);
    draw.drawRisks(state, answer, known);
    draw.drawBars(state, answer);
    draw.nameFigures();
    find("sentence").textContent = said(known);
    find("limit").textContent = `stable up to ${format(answer.runs[state.active].critical)}`;
    find("cost").textContent = `${answer.nodes} nodes, ${format(state.steps)} steps, ${format(answer.milliseconds, 2)} ms`;
    find("legend").replaceChildren(...answer.bands.map((band, k) => element("span", { class: "band" },
      element("i", { style: `background:${data.bands[Math.round((k * (data.bands.length - 1)) / Math.max(answer.bands.length - 1, 1))]}` }), band)));
    tabsOfRuns();
  }

  function tabsOfRuns() {
    const names = labels(state.runs);
    const chips = state.runs.map((run, j) => {
      const found = answer?.runs[j], risk = !found ? "…" : found.status === "done" ? lossOf(found) : "diverges";
      return element("button", {
        type: "button", class: "chip", "aria-pressed": String(j === state.active), style: `--color:${data.palette[j]}`, "data-run": j,
        onclick: () => change((next) => { next.active = j; }, true),
      }, element("i", {}), element("span", {}, names[j]), element("b", {}, risk));
    });
    if (state.runs.length < MOST_RUNS) {
      chips.push(element("button", { type: "button", class: "chip plain", id: "add", onclick: () => change((next) => {
        next.runs.push(structuredClone(next.runs[next.active]));
        next.active = next.runs.length - 1;
      }, true) }, "+ one more"));
    }
    if (state.runs.length > 1) {
      chips.push(element("button", { type: "button", class: "chip plain", id: "remove", onclick: () => change((next) => {
        next.runs.splice(next.active, 1);
        next.active = Math.max(0, next.active - 1);
      }, true) }, "− this one"));
    }
    const held = document.activeElement?.dataset?.run ?? document.activeElement?.id;
    find("runs").replaceChildren(...chips);
    if (held !== undefined && held !== "") (find("runs").querySelector(`[data-run="${held}"]`) ?? (["add", "remove"].includes(held) ? find(held) : null))?.focus();
  }

  function makeForms() {
    const focused = document.activeElement?.dataset?.name, keep = (form, ...children) => form.replaceChildren(...children);
    tabsOfRuns();
    keep(find("problem"), ...problemForm(state, data, (name, value) => change((next) => {
      if (name === "steps") next.steps = value;
      else next.problem[name] = value;
    })));
    keep(find("run"), ...runForm(state.runs[state.active], data, {
      schedule: (name, value) => changeRun((run) => { run.schedule[name] = value; }, name === "shape"),
      method: (name, value) => changeRun((run) => alterMethod(run, name, value), name === "kind"),
      batch: (value) => changeRun((run) => { run.batch = value; }),
      start: (kind) => changeRun((run) => begin(run, kind), true),
    }));
    makeKnots();
    for (const tab of ["risk", "river"]) {
      find(`tab-${tab}`).setAttribute("aria-selected", String(state.tab === tab));
      find(`tab-${tab}`).tabIndex = state.tab === tab ? 0 : -1;
      find(`panel-${tab}`).hidden = state.tab !== tab;
    }
    find("spacing").value = state.spacing;
    if (focused) document.querySelector(`[data-name="${focused}"]`)?.focus();
  }

  // Momentum moves 1 / (1 - beta) as far for the same rate: the peak goes with it, so that the effective rate stays.
  function alterMethod(run, name, value) {
    const reach = ({ kind, momentum }) => (["heavy_ball", "nesterov"].includes(kind) ? 1 / (1 - momentum) : 1), before = reach(run.method);
    run.method = name === "kind" ? { kind: value, [METHODS[value].own?.[0]]: METHODS[value].own?.[1] } : { ...run.method, [name]: value };
    if (name === "kind") run.schedule.peak = THREE((run.schedule.peak * before) / reach(run.method));
  }

  // Another schedule with the peak of this one.
  function begin(run, kind) {
    const { peak, warmup, floor } = run.schedule;
    if (kind === "knots") run.schedule = { kind, peak, knots: knotsOf(run.schedule, state.steps), from: run.schedule.kind };
    else if (kind.startsWith("start ")) run.schedule = { kind: "knots", peak, knots: data.starts[kind.slice(6)], from: kind.slice(6) };
    else run.schedule = { kind, peak, warmup, floor: kind === "exponential" ? 0.1 : floor };
  }

  // -- knots, by mouse and by keyboard

  function setKnots(knots) {
    changeRun((run) => {
      const from = run.schedule.kind === "knots" ? run.schedule.from : run.schedule.kind;
      run.schedule = { kind: "knots", peak: run.schedule.peak, knots: orderly(knots), from };
    }, true);
  }

  function makeKnots() {
    const { schedule } = state.runs[state.active], focused = document.activeElement?.dataset?.knot;
    const altered = (alter) => {
      const knots = knotsOf(schedule, state.steps);
      alter(knots);
      setKnots(knots);
    };
    find("knots").replaceChildren(...knotButtons(schedule, state.steps,
      (j, u, value) => altered((knots) => {
        const left = j ? knots[j - 1][0] + 1e-3 : 0, right = j + 1 < knots.length ? knots[j + 1][0] - 1e-3 : 1;
        knots[j] = [Math.min(Math.max(u, left), right), Math.max(value, 0)];
      }),
      (j) => altered((knots) => { if (knots.length > 2) knots.splice(j, 1); }),
      () => altered((knots) => {
        const gaps = knots.slice(1).map(([u], k) => u - knots[k][0]), k = gaps.indexOf(Math.max(...gaps));
        knots.splice(k + 1, 0, [(knots[k][0] + knots[k + 1][0]) / 2, (knots[k][1] + knots[k + 1][1]) / 2]);
      })));
    if (focused !== undefined) find("knots").querySelector(`[data-knot="${focused}"]`)?.focus();
  }

  // While a knot is being dragged Bokeh alone moves it; the page reads along, and puts all in order when it is let go.
  function listen() {
    const knots = draw.model("knots");
    const columns = () => ({ x: Array.from(knots.data.x), y: Array.from(knots.data.y) });
    const read = () => {
      const { schedule } = state.runs[state.active], { x, y } = columns();
      return x.map((at, j) => [at / state.steps, (y[j] ?? 0) / schedule.peak]);
    };
    const moved = () => JSON.stringify(columns()) !== draw.paused.drawn;
    let frame = 0;
    knots.change.connect(() => {
      if (draw.paused.own || !moved()) return;
      draw.paused.knots = true;
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        if (draw.paused.knots) setKnots(read());
      });
    });
    knots.properties.data.change.connect(() => {
      if (draw.paused.own) return;
      draw.paused.knots = false;
      if (moved()) setKnots(read());
    });
  }

  // -- the river

  function restartRiver() {
    if (state.tab !== "river") return;
    const tallest = Math.max(...state.runs.map(({ schedule }) => rates(schedule, RIVER_STEPS).reduce((a, b) => Math.max(a, b), 0)));
    const lr = riverRates(state.runs[state.active].schedule, tallest, Number(find("river-peak").value));
    const key = JSON.stringify([state.active, ...lr]);
    if (river?.key === key) return;
    sizeCanvas();
    const picture = new RiverPicture(find("river"), data.palette[state.active]), cloud = new Cloud(lr);
    picture.fit(lr);
    if (river) cancelAnimationFrame(river.frame);
    river = { key, cloud, picture, playing: true, frame: 0, seen: performance.now(), drawn: 0 };
    find("play").textContent = "pause";
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (still) cloud.advance(RIVER_STEPS);
    flow();
  }

  // The canvas as wide as its place; whether that is another width than before.
  function sizeCanvas() {
    const canvas = find("river"), box = canvas.getBoundingClientRect();
    const width = Math.max(300, Math.round(box.width * (window.devicePixelRatio || 1)));
    if (canvas.width === width) return false;
    canvas.width = width;
    canvas.height = Math.round(width * Math.min(0.5, Math.max(0.28, 320 / box.width)));
    return true;
  }

  function flow() {
    const { cloud, picture } = river;
    const now = performance.now(), due = Math.round(((now - river.seen) / 1000) * STEPS_A_SECOND);
    river.seen = now;
    if (river.playing) cloud.advance(Math.min(Math.max(due, 1), 60));
    picture.draw(cloud);
    const { step, river: along, hill, total } = cloud.split;
    // The figure of the split ten times a second, the canvas at every frame.
    if (now - river.drawn > 100 || cloud.t === RIVER_STEPS) {
      river.drawn = now;
      for (const [name, y] of [["river loss", along], ["hill loss", hill], ["total loss", total]]) draw.put(name, { x: [...step], y: [...y] });
      draw.range("split", "x_range", 0, RIVER_STEPS);
      const shares = [...along, ...hill, ...total].sort((a, b) => a - b), low = shares[0], high = shares[Math.floor(0.99 * (shares.length - 1))];
      draw.range("split", "y_range", low - 0.06 * (high - low), high + 0.12 * (high - low));
    }
    const last = step.length - 1;
    find("river-words").textContent = `Step ${cloud.t} of ${RIVER_STEPS}: the learning rate is ${format(cloud.lr[Math.min(cloud.t, RIVER_STEPS - 1)])}; `
      + `the river has fallen by ${format(-along[last])}, and the hills still cost ${format(hill[last])}.`;
    api.river = { step: cloud.t, river: along[last], hill: hill[last], points: cloud.points.length };
    if (river.playing && cloud.t < RIVER_STEPS) river.frame = requestAnimationFrame(flow);
    else find("play").textContent = cloud.t < RIVER_STEPS ? "play" : "again";
  }

  // -- buttons

  function save(name, blob) {
    const link = element("a", { href: URL.createObjectURL(blob), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  function offer(name, text) {
    find("text").textContent = text;
    find("dialog-name").textContent = name;
    find("dialog").showModal();
  }

  function wire() {
    find("spacing").onchange = (event) => change((next) => { next.spacing = event.target.value; });
    for (const tab of ["risk", "river"]) {
      find(`tab-${tab}`).onclick = () => change((next) => { next.tab = tab; }, true);
      find(`tab-${tab}`).onkeydown = (event) => {
        if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
        change((next) => { next.tab = tab === "risk" ? "river" : "risk"; }, true);
        find(`tab-${state.tab}`).focus();
      };
    }
    find("file").onclick = () => offer("experiment.toml", experimentFile(state, data) ?? "# This problem was handed over as an object and has no file; see the ten lines of Python.\n");
    find("python").onclick = () => offer("schedules.py", pythonLines(state, data));
    find("picture").onclick = () => draw.picture(said(law)).toBlob((blob) => save("playground.png", blob));
    find("copy").onclick = () => navigator.clipboard?.writeText(find("text").textContent);
    find("save").onclick = () => save(find("dialog-name").textContent, new Blob([find("text").textContent], { type: "text/plain" }));
    find("close").onclick = () => find("dialog").close();
    find("link").onclick = () => offer("address of this page", location.href);
    find("play").onclick = () => {
      if (river.cloud.t >= RIVER_STEPS) {
        river.key = "";
        restartRiver();
        return;
      }
      river.playing = !river.playing;
      find("play").textContent = river.playing ? "pause" : "play";
      river.seen = performance.now();
      if (river.playing) flow();
    };
    find("river-peak").oninput = () => {
      find("river-peak-shown").textContent = format(Number(find("river-peak").value));
      restartRiver();
    };
    addEventListener("hashchange", () => set(readAddress(location.hash)));
    addEventListener("resize", () => {
      if (!river || state.tab !== "river" || !sizeCanvas()) return;
      river.picture.ground = null;
      river.picture.draw(river.cloud);
    });
  }

  const api = {
    version: data.version, state, answer: null, river: null, idle,
    set(next) {
      set(next);
      return idle();
    },
    solve: (question) => ask({ ...question, type: "solve" }),
    law: (question) => ask({ ...question, type: "law" }, LAW),
    experiment: () => experimentFile(state, data),
    python: () => pythonLines(state, data),
    picture: () => draw.picture(said(law)).toDataURL("image/png"),
  };
  window.simlab = api;
  wire();
  listen();
  set(state);
}
