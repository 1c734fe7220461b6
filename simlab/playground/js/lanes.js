// Formulas of one node carried out over all nodes, two at a time: each is written once, as JavaScript, and becomes a
// function of WebAssembly on vectors of two numbers, twice as fast as a loop of JavaScript. Where a browser has no
// such vectors the same text becomes that loop, with the same numbers to the last bit.
//
// A formula is {given, before, node, kept, each, sum}: numbers that are given for a step, lines that are computed once of
// them, what memory holds of each node (in this order, a pair of nodes side by side), which of it is written back, lines
// that are computed for each node, and what is summed over the nodes. A line is "name = sums and products".

const TYPE = { f64: 0x7c, i32: 0x7f, v128: 0x7b };
// Opcodes by their names in the specification of WebAssembly; those of vectors follow a byte 0xfd.
const OP = { loop: 0x03, end: 0x0b, br_if: 0x0d, get: 0x20, set: 0x21, tee: 0x22, i32_const: 0x41, i32_lt_u: 0x49, i32_add: 0x6a, f64_add: 0xa0 };
const SIMD = { load: 0x00, store: 0x0b, const: 0x0c, splat: 0x14, lane: 0x21, "+": 0xf0, "-": 0xf1, "*": 0xf2 };
const NOTHING = 0x40;
const PAIR = 16;
const ALIGNED = 4;  // to 2^4 bytes

// A whole number in groups of seven bits, and a list with its length before it.
function leb(n) {
  return n < 128 ? [n] : [(n & 127) | 128, ...leb(n >>> 7)];
}

function counted(items) {
  return [...leb(items.length), ...items.flat()];
}

const ascii = (text) => counted([...text].map((letter) => letter.charCodeAt(0)));
const simd = (name, ...rest) => [0xfd, ...leb(SIMD[name]), ...rest];
const localGet = (local) => [OP.get, ...leb(local)];
const localSet = (local) => [OP.set, ...leb(local)];

// The bytes of an expression; `place` gives the local of a name.
function expression(text, place) {
  const tokens = text.match(/[\w.]+|[-+*()]/g);
  const factor = () => {
    const token = tokens.shift();
    if (token === "(") {
      const inner = sum();
      tokens.shift();
      return inner;
    }
    if (/^[\d.]/.test(token)) return simd("const", ...new Uint8Array(Float64Array.of(Number(token), Number(token)).buffer));
    return localGet(place(token));
  };
  const product = () => {
    const bytes = factor();
    while (tokens[0] === "*") {
      tokens.shift();
      bytes.push(...factor(), ...simd("*"));
    }
    return bytes;
  };
  const sum = () => {
    const bytes = product();
    while (["+", "-"].includes(tokens[0])) {
      const sign = tokens.shift();
      bytes.push(...product(), ...simd(sign));
    }
    return bytes;
  };
  return sum();
}

const linesOf = (text) => text.trim().split("\n").map((line) => line.split("=").map((side) => side.trim()));

// A module with one function step(given.., start, end) -> sum over the pairs from byte `start` to `end` of its memory.
function moduleOf({ given, before, node, kept, each, sum }) {
  const start = given.length, end = start + 1, total = end + 1, names = new Map();
  const place = (name) => {
    if (!names.has(name)) names.set(name, total + 1 + names.size);
    return names.get(name);
  };
  const lines = (text) => linesOf(text).flatMap(([name, value]) => [...expression(value, place), ...localSet(place(name))]);
  const body = [
    ...given.flatMap((name, j) => [...localGet(j), ...simd("splat"), ...localSet(place(name))]),
    ...lines(before),
    OP.loop, NOTHING,
    ...node.flatMap((name, j) => [...localGet(start), ...simd("load", ALIGNED, ...leb(PAIR * j)), ...localSet(place(name))]),
    ...lines(each),
    ...kept.flatMap((name) => [...localGet(start), ...localGet(place(name)), ...simd("store", ALIGNED, ...leb(PAIR * node.indexOf(name)))]),
    ...localGet(total), ...expression(sum, place), ...simd("+"), ...localSet(total),
    // start += the bytes of a pair; again where it is below the end.
    ...localGet(start), OP.i32_const, ...signed(PAIR * node.length), OP.i32_add, OP.tee, ...leb(start), ...localGet(end), OP.i32_lt_u, OP.br_if, 0,
    OP.end,
    ...localGet(total), ...simd("lane", 0), ...localGet(total), ...simd("lane", 1), OP.f64_add, OP.end,
  ];
  const code = [...counted([[...leb(1 + names.size), TYPE.v128]]), ...body];
  const section = (id, items) => [id, ...counted(counted(items))];
  return new Uint8Array([
    ..."\0asm\x01\0\0\0".split("").map((letter) => letter.charCodeAt(0)),
    // Types (0x60 is a function), what is imported (2 is a memory, of at least one page), functions by type, what is
    // exported (0 is a function), bodies.
    ...section(1, [[0x60, ...counted([...given.map(() => TYPE.f64), TYPE.i32, TYPE.i32]), ...counted([TYPE.f64])]]),
    ...section(2, [[...ascii("page"), ...ascii("memory"), 2, 0, 1]]),
    ...section(3, [[0]]),
    ...section(7, [[...ascii("step"), 0, 0]]),
    ...section(10, [counted(code)]),
  ]);
}

// A positive constant as i32.const wants it: its seventh bit is a sign.
function signed(n) {
  return n < 64 ? [n] : [(n & 127) | 128, ...signed(n >>> 7)];
}

// The same as a loop of JavaScript over the numbers X.
function loopOf({ given, before, node, kept, each, sum }) {
  const lines = (text, known) => linesOf(text).map(([name, value]) => `${known.includes(name) ? "" : "const "}${name} = ${value};`).join(" ");
  const lane = (l) => `{
    let ${node.map((name, j) => `${name} = X[i + ${2 * j + l}]`).join(", ")};
    ${lines(each, node)}
    ${kept.map((name) => `X[i + ${2 * node.indexOf(name) + l}] = ${name};`).join(" ")}
    s${l} += ${sum};
  }`;
  return new Function("X", ...given, "start", "end", `
    ${lines(before, [])}
    let s0 = 0, s1 = 0;
    for (let i = start / 8; i < end / 8; i += ${2 * node.length}) { ${lane(0)} ${lane(1)} }
    return s0 + s1;`);
}

// Functions {name: step(given.., start, end)} of formulas {name: formula} over one memory; room(bytes) is that memory as
// numbers, large enough. What an earlier call of `room` returned is then no longer to be used.
function lanes(formulas, wanted = true) {
  const table = (make) => Object.fromEntries(Object.entries(formulas).map(([name, formula]) => [name, make(formula)]));
  const modules = table(moduleOf), vectors = wanted && Object.values(modules).every((bytes) => globalThis.WebAssembly?.validate(bytes));
  return { vectors, ...(vectors ? inWebAssembly(modules) : inLoops(table(loopOf))) };
}

function inWebAssembly(modules) {
  const memory = new WebAssembly.Memory({ initial: 1 }), made = {};
  for (const [name, bytes] of Object.entries(modules)) {
    made[name] = new WebAssembly.Instance(new WebAssembly.Module(bytes), { page: { memory } }).exports.step;
  }
  made.room = (bytes) => {
    const more = bytes - memory.buffer.byteLength;
    if (more > 0) memory.grow(Math.ceil(more / 65536));
    return new Float64Array(memory.buffer);
  };
  return made;
}

function inLoops(loops) {
  const made = {};
  let X = new Float64Array(0);
  for (const [name, loop] of Object.entries(loops)) made[name] = (...given) => loop(X, ...given);
  made.room = (bytes) => {
    if (bytes > X.byteLength) X = new Float64Array(bytes / 8);
    return X;
  };
  return made;
}
