// A river valley with an iterate and a cloud running live under the schedule of the page.
//
//     L(x, y) = -s x + lam/2 (y - a sin k x)^2,    noise of standard deviation sigma across, none along the river

const VALLEY = { slope: 0.1, lam: 8, amplitude: 1, wavenumber: 0.5, sigma: 3, start: [-3, 0.6] };
const RIVER_STEPS = 1200;
const STEPS_A_SECOND = 160;
const CLOUD = 240;

// Uniform and normal numbers of a seed: mulberry32, Box and Muller.
function normals(seed) {
  let state = seed >>> 0, spare = null;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return () => {
    if (spare !== null) {
      const kept = spare;
      spare = null;
      return kept;
    }
    const radius = Math.sqrt(-2 * Math.log(1 - uniform())), angle = 2 * Math.PI * uniform();
    spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };
}

// One step of a point (x, y) of SGD at rate lr, with this noise across.
function riverStep([x, y], lr, noise, { slope, lam, amplitude, wavenumber } = VALLEY) {
  const height = y - amplitude * Math.sin(wavenumber * x);
  const along = -slope - lam * height * amplitude * wavenumber * Math.cos(wavenumber * x);
  return [x - lr * along, y - lr * (lam * height + noise)];
}

function hillLoss([x, y], { lam, amplitude, wavenumber } = VALLEY) {
  return 0.5 * lam * (y - amplitude * Math.sin(wavenumber * x)) ** 2;
}

// The cloud under rates lr (T,): `advance(n)` takes n steps, and the split of the mean loss grows.
class Cloud {
  constructor(lr, seed = 3, valley = VALLEY) {
    Object.assign(this, { lr, valley, draw: normals(seed), t: 0 });
    this.points = Array.from({ length: CLOUD }, () => [...valley.start]);
    this.path = [[...valley.start]];
    this.split = { step: [], river: [], hill: [], total: [] };
    this.note();
  }

  note() {
    const mean = (f) => this.points.reduce((sum, point) => sum + f(point), 0) / this.points.length;
    const river = -this.valley.slope * (mean(([x]) => x) - this.valley.start[0]), hill = mean((point) => hillLoss(point, this.valley));
    this.split.step.push(this.t);
    this.split.river.push(river);
    this.split.hill.push(hill);
    this.split.total.push(river + hill);
  }

  advance(n) {
    for (const end = Math.min(this.t + n, this.lr.length); this.t < end; ) {
      const lr = this.lr[this.t++];
      this.points = this.points.map((point) => riverStep(point, lr, this.valley.sigma * this.draw(), this.valley));
      this.path.push(this.points[0]);
      if (this.t % 4 === 0 || this.t === this.lr.length) this.note();
    }
    return this.t < this.lr.length;
  }
}

// The rates of a schedule of the page over the river's steps, with the highest of all runs at `peak`.
function riverRates(schedule, tallest, peak) {
  return rates(schedule, RIVER_STEPS).map((lr) => (tallest > 0 ? (lr * peak) / tallest : 0));
}

// The canvas: shades of the loss, the river, the cloud, and the way of one iterate.
class RiverPicture {
  constructor(canvas, color) {
    Object.assign(this, { canvas, color, ends: [-4, 11], high: 2.1 });
  }

  // Room for what a run of these rates will travel.
  fit(lr) {
    const far = VALLEY.start[0] + VALLEY.slope * lr.reduce((a, b) => a + b, 0);
    this.ends = [VALLEY.start[0] - 1, Math.max(1.15 * far + 2, VALLEY.start[0] + 8)];
    this.ground = null;
  }

  at([x, y]) {
    const { width, height } = this.canvas;
    return [((x - this.ends[0]) / (this.ends[1] - this.ends[0])) * width, (0.5 - y / (2 * this.high)) * height];
  }

  // Shades of the loss, at half the resolution: a contour every half unit of its root, each a little darker.
  terrain() {
    const ground = document.createElement("canvas"), width = this.canvas.width >> 1, height = this.canvas.height >> 1;
    [ground.width, ground.height] = [width, height];
    const ink = ground.getContext("2d"), image = ink.createImageData(width, height), pixels = new Uint32Array(image.data.buffer);
    for (let i = 0; i < width; i++) {
      const x = this.ends[0] + (i / width) * (this.ends[1] - this.ends[0]), middle = VALLEY.amplitude * Math.sin(VALLEY.wavenumber * x);
      for (let j = 0; j < height; j++) {
        const level = Math.sqrt(VALLEY.lam / 2) * Math.abs((0.5 - j / height) * 2 * this.high - middle);
        const shade = 248 - 9 * Math.floor(2 * Math.min(level, 7));
        pixels[j * width + i] = 0xff000000 | (shade << 16) | ((shade - 3) << 8) | (shade - 8);
      }
    }
    ink.putImageData(image, 0, 0);
    this.ground = ground;
  }

  draw(cloud) {
    const ink = this.canvas.getContext("2d"), scale = window.devicePixelRatio || 1;
    if (!this.ground) this.terrain();
    ink.drawImage(this.ground, 0, 0, this.canvas.width, this.canvas.height);
    ink.lineWidth = 2 * scale;
    ink.setLineDash([8 * scale, 6 * scale]);
    ink.strokeStyle = "#0072B2";
    ink.beginPath();
    for (let i = 0; i <= 300; i++) {
      const x = this.ends[0] + (i / 300) * (this.ends[1] - this.ends[0]);
      ink.lineTo(...this.at([x, VALLEY.amplitude * Math.sin(VALLEY.wavenumber * x)]));
    }
    ink.stroke();
    ink.setLineDash([]);
    ink.fillStyle = `${this.color}88`;
    for (const point of cloud.points) {
      const [x, y] = this.at(point);
      ink.beginPath();
      ink.arc(x, y, 3 * scale, 0, 7);
      ink.fill();
    }
    ink.strokeStyle = "#000000";
    ink.lineWidth = 1.2 * scale;
    ink.beginPath();
    for (const point of cloud.path.slice(-60)) ink.lineTo(...this.at(point));
    ink.stroke();
    const [x, y] = this.at(cloud.points[0]);
    ink.fillStyle = "#000000";
    ink.beginPath();
    ink.arc(x, y, 5 * scale, 0, 7);
    ink.fill();
  }
}
