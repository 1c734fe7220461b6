// What the page says in words: one sentence on the answer, an experiment file, and ten lines of Python.

function percent(x) {
  return `${format(100 * x, 2)} %`;
}

// "bias in modes 101-464": where two runs differ most, and by how much.
function largestDifference(better, worse, bands) {
  const parts = [["bias", "bandBias"], ["variance", "bandVariance"]].flatMap(([word, key]) =>
    bands.map((band, j) => ({ what: `${word} in modes ${band}`, gain: worse[key][j] - better[key][j] })));
  return parts.reduce((a, b) => (b.gain > a.gain ? b : a));
}

function largestPart(run, bands) {
  const parts = [["bias", "bandBias"], ["variance", "bandVariance"]].flatMap(([word, key]) =>
    bands.map((band, j) => ({ what: `${word} in modes ${band}`, share: run[key][j] / run.risk })));
  return parts.reduce((a, b) => (b.share > a.share ? b : a));
}

function sentence(state, answer, law) {
  const names = labels(state.runs), { runs, bands } = answer;
  const alive = runs.map((run, j) => ({ run, name: names[j] })).filter(({ run }) => run.status === "done");
  const dead = runs.map((run, j) => ({ run, name: names[j] })).filter(({ run }) => run.status !== "done");
  const lost = dead.map(({ run, name }) => `${name} diverges at step ${format(run.ended)} (its peak ${format(run.peak)}, stable below ${format(run.critical)})`);
  if (!alive.length) return `${lost.join("; ")}.`;
  alive.sort((a, b) => a.run.risk - b.run.risk);
  const [best, second] = alive, part = largestPart(best.run, bands);
  let said = `After ${format(state.steps)} steps ${best.name} ends ${alive.length > 1 ? "lowest, " : ""}at an excess risk of ${format(best.run.risk)}`;
  if (second) {
    const gap = second.run.risk / best.run.risk - 1;
    if (gap < 5e-4) said += `, level with ${second.name}`;
    else {
      const why = largestDifference(best.run, second.run, bands);
      said += `, ${percent(gap / (1 + gap))} below ${second.name}, which pays most for its ${why.what}`;
    }
  } else said += `, ${percent(part.share)} of it ${part.what}`;
  if (law?.risk > 0) {
    const regret = best.run.risk / law.risk - 1;
    const over = state.runs[answer.runs.indexOf(best.run)].batch === state.runs[state.active].batch;
    if (over) {
      const doubt = law.doubtful ? " (a law to be doubted here: this error decays as fast as noise is forgotten)" : "";
      said += regret >= 0
        ? `; the law of the optimal SGD schedule would end ${percent(regret / (1 + regret))} lower still${doubt}`
        : `; that is ${percent(-regret)} below the law of the optimal schedule of plain SGD${doubt}`;
    }
  }
  return `${said}.${lost.length ? ` ${lost.join("; ")}.` : ""}`;
}

// What a run ends with: an excess risk, or of a twin the loss.
function lossOf(run) {
  return run.floor === undefined ? format(run.risk) : (run.floor + run.risk).toFixed(4);
}

// The same of a twin, in losses. Beyond what it was trained on it says so, as simlab.twin's predictions do.
function twinSentence(state, { runs, bands }, { reference, lowest }) {
  const names = labels(state.runs), order = runs.map((_, j) => j).sort((a, b) => runs[a].risk - runs[b].risk), [first, second] = order;
  let said = `After ${format(state.steps)} steps ${names[first]} ends ${second === undefined ? "" : "lowest, "}at a loss of ${lossOf(runs[first])}`;
  if (second !== undefined) {
    const gap = runs[second].risk - runs[first].risk;
    if (gap < 5e-5) said += `, level with ${names[second]}`;
    else {
      const gains = bands.map((band, k) => ({
        what: k ? `the valley at curvature ${band}` : "the river",
        gain: runs[second].bandBias[k] + runs[second].bandVariance[k] - runs[first].bandBias[k] - runs[first].bandVariance[k],
      }));
      said += `, ${gap.toFixed(4)} below ${names[second]}, which pays most for ${gains.reduce((a, b) => (b.gain > a.gain ? b : a)).what}`;
    }
  }
  const beyond = runs.map(({ peak }, j) => {
    if (peak > 1.05 * reference) return ` The peak of ${names[j]} lies above ${format(reference)}, the highest that was trained at; the twin knows nothing of instabilities there.`;
    return peak < lowest / 1.25 ? ` The peak of ${names[j]} lies below ${format(lowest)}, the lowest that was trained at.` : "";
  });
  return `${said}.${beyond.join("")}`;
}

// -- export

function tomlValue(value) {
  if (Array.isArray(value)) return `[${value.map(tomlValue).join(", ")}]`;
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "object") return `{${Object.entries(value).map(([key, each]) => `${JSON.stringify(key)} = ${tomlValue(each)}`).join(", ")}}`;
  if (typeof value === "boolean" || Number.isInteger(value)) return String(value);
  return String(value).replace("e+", "e");
}

function tomlTable(head, table) {
  return [head, ...Object.entries(table).map(([key, value]) => `${key} = ${tomlValue(value)}`), ""].join("\n");
}

// A number that Python reads as a float, though it is whole.
function pythonFloat(x) {
  return Number.isInteger(x) && Math.abs(x) < 1e15 ? `${x}.0` : String(x);
}

// The schedule as simlab's families take it: [family, parameters]. Knots lie on whole steps.
function asFamily(schedule, steps) {
  const { kind, from, ...own } = schedule;
  if (kind === "knots") {
    const [places, values] = placed(schedule.knots, steps);
    return ["piecewise", { peak: schedule.peak, knots: places.map((place, j) => [place, values[j]]) }];
  }
  return [kind, own];
}

function methodTable({ method, batch }) {
  const wrapped = ["ema", "tail_average"].includes(method.kind);
  if (!wrapped) return { ...method, batch };
  return { kind: "sgd", batch, wrap: [method] };
}

function problemTable(state, data) {
  if (!state.problem.given) {
    const { dim, capacity, source, noise } = state.problem;
    return { kind: "power_law", dim, capacity, source, noise_variance: noise, ...(dim > 200 ? { compress: true } : {}) };
  }
  return data.table;
}

// Tables by what is in them, each once, with the label of the first run that has it.
function unique(runs, table, label) {
  const found = new Map();
  for (const run of runs) {
    const made = table(run), key = JSON.stringify(made);
    if (!found.has(key)) found.set(key, { label: `${found.size + 1}: ${label(run)}`, ...made });
  }
  return [...found.values()];
}

// The experiment on the screen as a file for `simlab run`, or null for a problem that no file can name.
function experimentFile(state, data) {
  const problem = problemTable(state, data);
  if (!problem) return null;
  const schedules = unique(state.runs, (run) => {
    const [kind, own] = asFamily(run.schedule, state.steps);
    return { kind, steps: state.steps, ...own };
  }, ({ schedule }) => labelOf({ schedule, method: { kind: "sgd" }, batch: 1 }));
  const methods = unique(state.runs, methodTable, ({ method }) => METHODS[method.kind].name);
  const alone = ({ label, ...table }) => table;
  const lines = [`# From simlab's playground: ${labels(state.runs).join(" | ")}.`, "# Run it with `simlab run FILE`."];
  if (schedules.length > 1 && methods.length > 1) lines.push("# Every schedule below is run with every method.");
  if (state.problem.given && state.problem.noise !== 1) lines.push(`# The page showed it with ${format(state.problem.noise)} times this noise.`);
  lines.push("", tomlTable("[problem]", problem), tomlTable("[schedule]", alone(schedules[0])), tomlTable("[method]", alone(methods[0])));
  lines.push(tomlTable("[record]", { steps: state.spacing === "linear" ? "linear" : 200, subspaces: "log_bins(6)" }));
  if (schedules.length > 1) lines.push(...schedules.map((table) => tomlTable("[[compare.schedules]]", table)));
  if (methods.length > 1) lines.push(...methods.map((table) => tomlTable("[[compare.methods]]", table)));
  return `${lines.join("\n").trimEnd()}\n`;
}

function pythonSchedule(schedule, steps) {
  const [family, own] = asFamily(schedule, steps);
  const value = (x) => (Array.isArray(x) ? `(${x.map(([place, y]) => `(${place}, ${pythonFloat(y)})`).join(", ")})` : typeof x === "string" ? `"${x}"` : pythonFloat(x));
  return `s.${family}(${steps}, ${Object.entries(own).map(([name, x]) => `${name}=${value(x)}`).join(", ")})`;
}

function pythonCall({ schedule, method, batch }, steps) {
  const lr = pythonSchedule(schedule, steps);
  const size = batch > 1 ? `, batch=${batch}` : "";
  const parameter = METHODS[method.kind].own?.[0];
  if (!parameter) return `m.sgd(${lr}${size})`;
  const given = `${parameter}=${pythonFloat(method[parameter])}`;
  if (["ema", "tail_average"].includes(method.kind)) return `m.${method.kind}(m.sgd(${lr}${size}), ${given})`;
  return `m.${method.kind}(${lr}, ${given}${size})`;
}

// Of a twin: its predictions, with their intervals.
function twinLines(state, data) {
  const names = labels(state.runs), { noise } = state.problem;
  const shown = noise === 1 ? "" : `; the page shows it with ${format(noise)} times its gradient noise`;
  return [
    "import simlab as sl", "", "s = sl.schedules",
    `twin = sl.twin.from_json(${JSON.stringify(data.file ?? "twin.json")})  # the twin that the page was made of${shown}`,
    "runs = {", ...state.runs.map((run, j) => `    ${JSON.stringify(names[j])}: ${pythonSchedule(run.schedule, state.steps)},`), "}",
    "for name, schedule in runs.items():", "    print(name, twin.predict(schedule), sep=\": \")", "",
  ].join("\n");
}

function pythonLines(state, data) {
  if (twinOf(data)) return twinLines(state, data);
  const names = labels(state.runs), { dim, capacity, source, noise } = state.problem;
  const power = `sl.LinearRegression.power_law(dim=${dim}, capacity=${pythonFloat(capacity)}, source=${pythonFloat(source)}, noise_variance=${pythonFloat(noise)})`;
  const handed = data.file ? `sl.Experiment.from_file(${JSON.stringify(data.file)}).problem` : "...  # the problem that the page was made of";
  return [
    "import simlab as sl", "", "m, s = sl.methods, sl.schedules",
    `problem = ${state.problem.given ? handed : power}`,
    "runs = {", ...state.runs.map((run, j) => `    ${JSON.stringify(names[j])}: ${pythonCall(run, state.steps)},`), "}",
    `trace = sl.exact(problem, runs, record="linear"${state.problem.given ? "" : ', subspaces="log_bins(6)"'})`,
    "print(trace)", 'sl.plot.save(sl.plot.risk(trace), "schedules.png")', "",
  ].join("\n");
}
