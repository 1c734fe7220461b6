// What is computed off the page's own thread. Questions come as {id, type, ..} and are answered by {id, ..}:
//
//     spectrum   keep the spectrum that was handed over
//     answer     all runs of a state, or their bias or variance alone (parts); what has been computed is remembered
//     law        the optimal schedule of SGD for the problem, and the risk that it ends with; none of a twin
//     solve      one run of explicit arguments, for tests and the curious

const REMEMBERED = 64;
const memory = new Map();
let handed = null;

function remembered(key, make) {
  if (!memory.has(key)) {
    if (memory.size >= REMEMBERED) memory.delete(memory.keys().next().value);
    memory.set(key, make());
  }
  return memory.get(key);
}

function nodesOf(problem) {
  if (problem.nodes) return given(problem.nodes, 1);
  return remembered(`nodes ${JSON.stringify(problem)}`, () => (problem.given ? given(handed, problem.noise) : powerLaw(problem)));
}

function runOf(nodes, { steps, schedule, method, batch, record, parts }) {
  const lr = rates(schedule, steps), peak = lr.reduce((a, b) => Math.max(a, b), 0);
  if (nodes.optima) return { ...solveTwin(nodes, lr, record), peak };
  return { ...solve(nodes, lr, method, batch, record, parts), critical: criticalRate(nodes, method, batch, lr), peak };
}

function answer({ problem, steps, spacing, runs, parts }) {
  const nodes = nodesOf(problem), wanted = recordSteps(steps, spacing), record = nodes.optima ? atBlocks(wanted) : wanted;
  const found = runs.map((run) => {
    const { schedule, method, batch } = run;
    const key = JSON.stringify([problem, steps, spacing, schedule, method, batch, parts]);
    return remembered(key, () => runOf(nodes, { steps, schedule, method, batch, record, parts }));
  });
  return { bands: nodes.bands, nodes: (nodes.lam ?? nodes.curvatures).length, runs: found };
}

function lawOf({ problem, steps, batch }) {
  return remembered(`law ${JSON.stringify([problem, steps, batch])}`, () => {
    const nodes = nodesOf(problem);
    if (nodes.optima) return { steps: [], lr: [], risk: null, doubtful: false };
    const law = new Law(nodes, steps, batch), found = law.foretold(), lr = ratesOfLaw(found, steps);
    const end = solve(nodes, lr, { kind: "sgd" }, batch, [steps]);
    const at = recordSteps(steps, "linear", 240).concat(recordSteps(steps, "log", 60).flatMap((t) => [t, steps - t]));
    const points = [...new Set(at)].filter((t) => t < steps).sort((a, b) => a - b);
    const risk = end.bias[0] + end.variance[0];
    return { steps: points, lr: points.map((t) => lr[t]), risk: Number.isFinite(risk) ? risk : null, doubtful: law.doubtful(found) };
  });
}

function reply(question) {
  if (question.type === "spectrum") {
    handed = question.spectrum;
    memory.clear();
    return {};
  }
  if (question.type === "law") return lawOf(question);
  if (question.type === "solve") {
    const { problem, steps, record = recordSteps(steps, "log") } = question;
    return { ...runOf(nodesOf(problem), { ...question, record }), bands: nodesOf(problem).bands };
  }
  return answer(question);
}

// On the page itself these are functions and no more.
if (typeof document === "undefined" && typeof self !== "undefined") {
  self.onmessage = ({ data }) => {
    const began = performance.now();
    const found = reply(data);
    self.postMessage({ ...found, id: data.id, milliseconds: performance.now() - began });
  };
}
