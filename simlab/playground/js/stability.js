// The largest stable learning rate of a method on a spectrum: where the mass
//
//     K = sum (drive G / B) / (1 - own G / B)
//
// of the response G(lam) = sum_j (c^T A^j b)^2 of the gradient point to noise is one (simlab.stability).

// G of a method of one buffer whose M has the eigenvalue 1: simlab.methods.response. Infinite where nothing contracts.
function response(m, mDelta, q, lam) {
  const slow = (q - mDelta) * lam, first = 1 - m + mDelta * lam, last = 2 * (1 + m) - (q + mDelta) * lam;
  if (!(slow > 0 && first > 0 && last > 0)) return Infinity;
  return ((1 + m) * (q - mDelta) + mDelta * lam * (q + mDelta)) / (lam * first * last);
}

// (m, m delta, q) per unit of learning rate; averages do not touch the gradient. Schedule-Free is frozen at its last step.
function frozen(method, lr) {
  const beta = method.momentum;
  if (method.kind === "heavy_ball") return [beta, 0, 1];
  if (method.kind === "nesterov") return [beta, beta, 1 + beta];
  if (method.kind === "schedule_free") {
    const { second } = methodOf(method, lr);
    let share = 0;
    for (let t = 0; t < lr.length; t++) share = second(t);
    return [1 - share, (1 - method.beta) * (1 - share), 1 - method.beta + method.beta * share];
  }
  return [0, 0, 1];
}

function mass(nodes, [m, mDelta, q], lr, batch) {
  let K = 0;
  for (let i = 0; i < nodes.lam.length; i++) {
    const G = response(m, lr * mDelta, lr * q, nodes.lam[i]) / batch, left = 1 - nodes.own[i] * G;
    if (!(left > 0)) return Infinity;
    K += (nodes.coupling * nodes.drive[i] * G) / left;
  }
  return K;
}

function criticalRate(nodes, method, batch, lr) {
  const at = frozen(method, lr);
  const stable = (lr) => mass(nodes, at, lr, batch) < 1;
  let low = 1 / nodes.lam[0], high = low;
  while (!stable(low) && low > 1e-300) [high, low] = [low, low / 2];
  while (stable(high) && high < 1e300) [low, high] = [high, 2 * high];
  for (let i = 0; i < 60 && high - low > 1e-13 * high; i++) {
    const middle = (low + high) / 2;
    if (stable(middle)) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}
