// The workers: two for a run, of its bias and of its variance, and one for the law. With more processors than two several
// runs are stepped at a time.

const LAW = 2 * MOST_RUNS;  // the worker beside those of runs

function startPool(data, source) {
  const engine = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  const pairs = Math.min(MOST_RUNS, Math.max(1, Math.floor((navigator.hardwareConcurrency || 2) / 2)));
  const workers = new Map(), waiting = new Map(), twin = twinOf(data);
  let sent = 0;

  // Started when it is first asked; the spectrum comes before any question.
  function workerOf(whom) {
    if (!workers.has(whom)) {
      const made = new Worker(engine);
      made.onmessage = ({ data: found }) => {
        waiting.get(found.id)?.(found);
        waiting.delete(found.id);
      };
      if (data.spectrum) made.postMessage({ type: "spectrum", spectrum: data.spectrum });
      workers.set(whom, made);
    }
    return workers.get(whom);
  }

  function ask(question, whom = 0) {
    sent += 1;
    return new Promise((settle) => {
      waiting.set(sent, settle);
      workerOf(whom).postMessage({ ...question, id: sent });
    });
  }

  // Bias and variance of some runs, at a time; a run that may diverge once more, as a whole.
  async function answerOfPair(question, first) {
    const { runs } = question;
    const [one, other] = await Promise.all([BIAS, VARIANCE].map((part) => ask({ ...question, parts: [part] }, first + part)));
    const open = runs.filter((_, j) => one.runs[j].status === "open" || other.runs[j].status === "open");
    const whole = open.length ? await ask({ ...question, runs: open }, first) : null;
    const joined = runs.map((run, j) => {
      const { variance, bandVariance } = other.runs[j];
      return open.includes(run) ? whole.runs[open.indexOf(run)] : { ...one.runs[j], variance, bandVariance };
    });
    return { ...one, runs: joined, milliseconds: Math.max(one.milliseconds, other.milliseconds) + (whole?.milliseconds ?? 0) };
  }

  // The answer to a state: its runs dealt out to the pairs in turn.
  async function answerOf({ problem, steps, spacing, runs }) {
    const question = { type: "answer", problem, steps, spacing };
    const hands = Array.from({ length: Math.min(pairs, runs.length) }, (_, p) => runs.filter((_, j) => j % pairs === p));
    const found = twin ? [await ask({ ...question, runs })] : await Promise.all(hands.map((hand, p) => answerOfPair({ ...question, runs: hand }, 2 * p)));
    const inOrder = runs.map((_, j) => found[j % found.length].runs[Math.floor(j / found.length)]);
    const risk = ({ bias, variance }) => bias[bias.length - 1] + variance[variance.length - 1];
    return { ...found[0], runs: inOrder.map((run) => ({ ...run, risk: risk(run) })), milliseconds: Math.max(...found.map((each) => each.milliseconds)) };
  }

  return { ask, answerOf, workers: () => workers.size };
}
