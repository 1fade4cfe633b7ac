// Draws from an exported network in the browser. A seed gives the image that it gives in the commands.
// onnxruntime-web lies in the folder ort beside this file.
import * as ort from "./ort/ort.wasm.min.mjs";

ort.env.wasm.wasmPaths = new URL("./ort/", import.meta.url).href;
// More threads need headers that a plain file server does not send.
ort.env.wasm.numThreads = 1;

const $ = (id) => document.getElementById(id);
const LARGEST_SEED = 2 ** 32 - 1;

// numpy.random.RandomState(seed).randn: the Mersenne Twister (Matsumoto and Nishimura 1998) and the polar method
// (Marsaglia and Bray 1964), in the order in which numpy takes their numbers.
export class RandomState {
  constructor(seed) {
    const words = new Uint32Array(624);
    words[0] = seed;
    for (let i = 1; i < 624; i++) {
      words[i] = Math.imul(1812433253, words[i - 1] ^ (words[i - 1] >>> 30)) + i;
    }
    Object.assign(this, { words, place: 624, spare: null });
  }

  word() {
    if (this.place === 624) this.twist();
    let y = this.words[this.place++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  twist() {
    const w = this.words;
    for (let i = 0; i < 624; i++) {
      const y = (w[i] & 0x80000000) | (w[(i + 1) % 624] & 0x7fffffff);
      w[i] = w[(i + 397) % 624] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    this.place = 0;
  }

  uniform() {
    const high = this.word() >>> 5;
    return (high * 67108864 + (this.word() >>> 6)) / 9007199254740992;
  }

  normal() {
    if (this.spare !== null) {
      const value = this.spare;
      this.spare = null;
      return value;
    }
    let x, y, square;
    do {
      x = 2 * this.uniform() - 1;
      y = 2 * this.uniform() - 1;
      square = x * x + y * y;
    } while (square >= 1 || square === 0);
    const factor = Math.sqrt((-2 * Math.log(square)) / square);
    this.spare = factor * x;
    return factor * y;
  }
}

// The metadata of an ONNX file: entries {1: key, 2: value} of field 14 of the protocol buffer ModelProto.
export function metadataOf(bytes) {
  const found = {};
  for (const [field, entry] of fieldsOf(bytes)) {
    if (field !== 14) continue;
    const parts = Object.fromEntries(fieldsOf(entry));
    found[new TextDecoder().decode(parts[1])] = new TextDecoder().decode(parts[2]);
  }
  return found;
}

function* fieldsOf(bytes) {
  let at = 0;
  const number = () => {
    for (let value = 0, scale = 1; ; scale *= 128) {
      if (at >= bytes.length) throw new Error("this file is no ONNX network, or not whole");
      value += (bytes[at] & 127) * scale;
      if (bytes[at++] < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = number();
    const kind = tag % 8;
    if (kind === 0) {
      number();
      continue;
    }
    const length = { 1: 8, 2: kind === 2 ? number() : 0, 5: 4 }[kind];
    if (length === undefined || at + length > bytes.length) throw new Error("this file is no ONNX network, or not whole");
    yield [Math.floor(tag / 8), bytes.subarray(at, at + length)];
    at += length;
  }
}

let network = null;
let drawing = false;
let again = false;

async function open(bytes, name) {
  say(`Opening ${name} ...`);
  const about = metadataOf(bytes);
  if (about.part !== "whole" || about.noise === "input") {
    throw new Error(`${name} is no whole network: export it with part=whole and noise=const or none`);
  }
  network = { name, about, session: await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] }) };
  $("image").width = Number(about.width);
  $("image").height = Number(about.height);
  const classes = Number(about.c_dim);
  const names = JSON.parse(about.label_names);
  $("class-row").hidden = classes < 2;
  $("number-row").hidden = classes !== 1;
  $("class").replaceChildren(...Array.from({ length: classes }, (_, i) => new Option(names[i] ?? i, i)));
}

function feeds() {
  const width = Number(network.about.z_dim);
  const random = new RandomState(Math.min(LARGEST_SEED, Math.max(0, Math.floor(Number($("seed").value)))));
  const given = {
    z: new ort.Tensor("float32", Float32Array.from({ length: width }, () => random.normal()), [1, width]),
    truncation: new ort.Tensor("float32", Float32Array.of(Number($("psi").value)), []),
  };
  const classes = Number(network.about.c_dim);
  if (classes) {
    const row = new Float32Array(classes);
    if (classes === 1) row[0] = Number($("number").value);
    else row[Number($("class").value)] = 1;
    given.label = new ort.Tensor("float32", row, [1, classes]);
  }
  return given;
}

function show(values, channels, width, height) {
  const pixels = new ImageData(width, height);
  const plane = width * height;
  const byte = (channel, at) => Math.min(255, Math.max(0, Math.floor(values[channel * plane + at] * 127.5 + 128)));
  const isGrey = channels < 3;
  const alpha = { 2: 1, 4: 3 }[channels];
  for (let at = 0; at < plane; at++) {
    for (let c = 0; c < 3; c++) pixels.data[4 * at + c] = byte(isGrey ? 0 : c, at);
    pixels.data[4 * at + 3] = alpha === undefined ? 255 : byte(alpha, at);
  }
  $("image").getContext("2d").putImageData(pixels, 0, 0);
}

// While an image is drawn the user may move on; then the newest settings are drawn next, and those between are not.
async function draw() {
  if (network === null) return;
  if (drawing) {
    again = true;
    return;
  }
  drawing = true;
  try {
    do {
      again = false;
      const start = performance.now();
      const settings = [$("seed").value, $("psi").value, $("class").value].join(" ");
      const { image } = await network.session.run(feeds());
      const [, channels, height, width] = image.dims;
      show(image.data, channels, width, height);
      document.body.dataset.drawn = settings;
      $("save").disabled = false;
      say(`${network.name}: drawn in ${Math.round(performance.now() - start)} ms`);
    } while (again);
  } finally {
    drawing = false;
  }
}

function say(text) {
  $("status").textContent = text;
}

const refused = (error) => say(String(error.message ?? error).split("\n")[0]);

for (const id of ["seed", "psi", "class", "number"]) {
  $(id).addEventListener("input", () => {
    $("psi-text").value = $("psi").value;
    draw().catch(refused);
  });
}
$("network").addEventListener("change", async ({ target }) => {
  const [file] = target.files;
  if (!file) return;
  try {
    await open(new Uint8Array(await file.arrayBuffer()), file.name);
    await draw();
  } catch (error) {
    refused(error);
  }
});
$("save").addEventListener("click", () => {
  $("image").toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `seed${$("seed").value.padStart(4, "0")}.png`;
    link.click();
    URL.revokeObjectURL(link.href);
  });
});

// index.html?network=foxes.onnx&seed=3&psi=0.7&class=1 opens a file that lies beside the page.
const asked = new URLSearchParams(location.search);
if (asked.has("network")) {
  try {
    const answer = await fetch(asked.get("network"));
    if (!answer.ok) throw new Error(`${asked.get("network")} is not beside this page`);
    await open(new Uint8Array(await answer.arrayBuffer()), asked.get("network"));
    for (const id of ["seed", "psi", "class", "number"]) if (asked.has(id)) $(id).value = asked.get(id);
    $("psi-text").value = $("psi").value;
    await draw();
  } catch (error) {
    refused(error);
  }
}
