// The power law lam_i = i^-capacity, lam_i error_i^2 = i^-source of `dim` modes on few weighted nodes, as simlab.quadrature
// makes them: the first modes one by one, then Gauss rules for the sum over short ranges of indices.

const HEAD = 16;
const ORDER = 8;

// Eigenvalues of the symmetric tridiagonal matrix (diagonal, off) and the first entries of its eigenvectors, by implicit QL
// (Golub and Welsch 1969).
function tridiagonal(diagonal, off) {
  const n = diagonal.length, d = [...diagonal], e = [...off, 0], z = d.map((_, i) => (i === 0 ? 1 : 0));
  for (let l = 0; l < n; l++) {
    for (;;) {
      let m = l;
      while (m < n - 1 && Math.abs(e[m]) > Number.EPSILON * (Math.abs(d[m]) + Math.abs(d[m + 1]))) m++;
      if (m === l) break;
      let g = (d[l + 1] - d[l]) / (2 * e[l]);
      let r = Math.hypot(g, 1);
      g = d[m] - d[l] + e[l] / (g + (g >= 0 ? r : -r));
      let s = 1, c = 1, p = 0;
      for (let i = m - 1; i >= l; i--) {
        const f = s * e[i], b = c * e[i];
        r = Math.hypot(f, g);
        e[i + 1] = r;
        s = f / r;
        c = g / r;
        g = d[i + 1] - p;
        r = (d[i] - g) * s + 2 * c * b;
        p = s * r;
        d[i + 1] = g + p;
        g = c * r - b;
        const last = z[i + 1];
        z[i + 1] = s * z[i] + c * last;
        z[i] = c * z[i] - s * last;
      }
      d[l] -= p;
      e[l] = g;
      e[m] = 0;
    }
  }
  return [d, z];
}

// Gauss nodes in [0, count - 1] and weights (sum = count) for the sum over the integers 0 .. count - 1.
function gaussOfIntegers(count, order) {
  if (count <= order) return [Array.from({ length: count }, (_, i) => i), Array(count).fill(1)];
  const off = [];
  for (let k = 1; k < order; k++) off.push(Math.sqrt((k * k * (count * count - k * k)) / (4 * (4 * k * k - 1))));
  // About the middle: its rounding then does not touch the places of the nodes.
  const [places, first] = tridiagonal(Array(order).fill(0), off);
  return [places.map((x) => x + (count - 1) / 2), first.map((x) => count * x * x)];
}

// Edges, 0-based, of at most n ranges of indices that are equal in log i: simlab.subspaces.log_bins.
function logBins(dim, n) {
  const edges = [];
  for (let j = 0; j <= n; j++) edges.push(roundEven(Math.exp((Math.log(dim) * j) / n)));
  edges[0] = 0;
  edges[n] = dim;
  return [...new Set(edges)].sort((a, b) => a - b);
}

function bandNames(edges) {
  return edges.slice(1).map((last, j) => (last === edges[j] + 1 ? `${last}` : `${edges[j] + 1}-${last}`));
}

// Nodes {lam, signal, own, drive, noise, coupling, label, bands}; own and drive as in simlab.problems.base.Modes, of
// Gaussian data (fourth moment 3).
function powerLaw({ dim, capacity, source, noise }, bands = 6) {
  const edges = logBins(dim, bands), cuts = new Set([Math.min(HEAD, dim), dim]);
  for (const edge of edges) if (edge > HEAD && edge < dim) cuts.add(edge);
  // Within a range eigenvalues differ by a factor of three at most, and indices by two.
  const ratio = Math.min(2, 3 ** (1 / Math.max(capacity, source, 0.1)));
  for (let edge = HEAD; edge < dim; edge = Math.floor(ratio * edge) + 1) cuts.add(edge);
  const sorted = [...cuts].sort((a, b) => a - b);
  const index = [], weight = [];
  for (let i = 1; i <= Math.min(HEAD, dim); i++) {
    index.push(i);
    weight.push(1);
  }
  for (let k = 0; k + 1 < sorted.length; k++) {
    const [places, weights] = gaussOfIntegers(sorted[k + 1] - sorted[k], ORDER);
    places.forEach((place, j) => {
      index.push(sorted[k] + 1 + place);
      weight.push(weights[j]);
    });
  }
  const lam = Float64Array.from(index, (i) => i ** -capacity);
  const label = Int32Array.from(index, (i) => edges.findLastIndex((edge) => edge < i));
  return {
    lam,
    signal: Float64Array.from(index, (i, j) => weight[j] * i ** -source),
    own: lam.map((l) => l * l),
    drive: lam.map((l, j) => weight[j] * l * l),
    noise,
    coupling: 1,
    label,
    bands: bandNames(edges),
  };
}

// A spectrum (or twin) that was handed over, with its noise multiplied: arrays as Python wrote them.
function given(spectrum, factor) {
  if (spectrum.optima) return noisierTwin(spectrum, factor);
  const typed = (values) => Float64Array.from(values);
  const { lam, signal, own, drive, noise, reference, coupling, label, bands } = spectrum;
  return {
    lam: typed(lam), signal: typed(signal), own: typed(own), drive: typed(drive), noise: noise * factor,
    reference: reference * factor, coupling, label: Int32Array.from(label), bands,
  };
}
