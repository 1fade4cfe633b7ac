r"""Draw from an exported network outside this project, and compare: `python -m benchmarks.studies.onnx_elsewhere`.

python -m benchmarks.studies.onnx_elsewhere --network runs/foxes --runtime node_modules/onnxruntime-web/dist

docs/onnx/draw.py draws by onnxruntime, and docs/onnx/index.html by onnxruntime-web in headless Chromium, where its
slider is moved, too, and no other machine can be reached. Both are compared with what this project draws of the same
seeds in float32. Without --network the weights are random, and without --runtime the browser is left out. Exit code 1
where a pixel differs by more than 1 of 255.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from stylegan import load_generator
from stylegan.interop.export import export_onnx
from stylegan.latents.drawer import Drawer
from stylegan.latents.points import Point
from stylegan.networks import Generator

PAGE = Path(__file__).parents[2] / "docs" / "onnx"
SEEDS = (0, 7, 4294967295)
PSI, MOVED_PSI = 0.7, 0.35
ALLOWED_STEPS = 1
LONGEST_SEC = 300
_TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".wasm": "application/wasm",
}
# Draws by the page itself, in a frame, and sends the pixels of its canvas back.
_DRIVER = """<!doctype html><script type="module">
const wait = (ms) => new Promise((go) => setTimeout(go, ms));
const send = (name, body) => fetch(`/result/${name}`, { method: "POST", body });
try {
  for (const [name, seed, psi, moved] of JOBS) {
    const frame = document.createElement("iframe");
    frame.src = `/index.html?network=network.onnx&seed=${seed}&psi=${psi}&class=CLASS`;
    document.body.append(frame);
    const drawn = async (wanted) => {
      for (;;) {
        const page = frame.contentDocument;
        if (page?.body?.dataset.drawn?.startsWith(`${seed} ${wanted} `)) return page;
        await wait(50);
        const said = page?.getElementById("status")?.textContent ?? "";
        if (/no whole|not beside|error|no ONNX/i.test(said)) throw new Error(said);
      }
    };
    let page = await drawn(psi);
    if (moved !== null) {
      const slider = page.getElementById("psi");
      slider.value = moved;
      slider.dispatchEvent(new Event("input"));
      page = await drawn(moved);
    }
    const canvas = page.getElementById("image");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    await send(name, data);
    frame.remove();
  }
  await send("done", "");
} catch (error) {
  await send("failed", String(error));
}
</script><body></body>"""


def random_network() -> Generator:
    """A conditional network of 32 px whose every number matters, for when there is no trained one."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        generator = Generator(resolution=32, c_dim=3, z_dim=64, w_dim=64, channel_base=1024, channel_max=64)
        for name, value in generator.state_dict().items():
            if name.endswith("noise_strength"):
                value.fill_(0.3)
            elif name.endswith(("bias", "w_avg")):
                value.add_(torch.randn_like(value), alpha=0.2)
    return generator.eval().requires_grad_(False)


def expected_pixels(generator: Generator, seed: int, psi: float) -> np.ndarray:
    """uint8 [H,W,C] as this project draws a seed, of the first class."""
    drawer = Drawer(generator, device="cpu", precision="fp32", truncation=psi)
    label = None if not generator.c_dim else drawer.label("1" if generator.c_dim == 1 else "0")
    point = Point(f"seed{seed:04d}", str(seed), seed=seed)
    return drawer.images(drawer.ws([point], label))[0].permute(1, 2, 0).numpy()


def draw_by_onnxruntime(generator: Generator, network: Path) -> dict[str, np.ndarray]:
    """{job: uint8 [H,W,C]} of docs/onnx/draw.py, started in another folder, where this project is not found."""
    out = network.parent / "drawn"
    label = [] if not generator.c_dim else ["--label", "1" if generator.c_dim == 1 else "0"]
    pixels = {}
    for psi in (PSI, MOVED_PSI):
        command = [sys.executable, PAGE / "draw.py", network, "--out", out, "--truncation", str(psi), *label]
        command += ["--seeds", *map(str, SEEDS)]
        subprocess.run(
            command, check=True, cwd=network.parent, timeout=LONGEST_SEC, stdout=subprocess.DEVNULL
        )
        for seed in SEEDS:
            with Image.open(out / f"seed{seed:04d}.png") as image:
                pixels[f"{seed}-{psi}"] = np.asarray(image).reshape(*generator.size, generator.channels)
    return pixels


class _Site(BaseHTTPRequestHandler):
    """The page, the network and onnxruntime-web, and a place where results are sent."""

    files: dict[str, bytes] = {}
    runtime: Path
    results: dict[str, bytes] = {}
    finished = threading.Event()

    def do_GET(self):
        path = self.path.split("?")[0].lstrip("/")
        name = Path(path).name
        content = self.files.get(path)
        if content is None and path == f"ort/{name}" and (self.runtime / name).is_file():
            content = (self.runtime / name).read_bytes()
        self.send_response(404 if content is None else 200)
        self.send_header("Content-Type", _TYPES.get(Path(name).suffix, "application/octet-stream"))
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")

    def do_POST(self):
        name = self.path.rsplit("/", 1)[-1]
        self.results[name] = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()
        if name in ("done", "failed"):
            self.finished.set()

    def log_message(self, *_):
        pass


@contextmanager
def serving(generator: Generator, network: Path, runtime: Path, jobs: list):
    """The site on a port of this machine alone."""
    driver = _DRIVER.replace("JOBS", json.dumps(jobs)).replace("CLASS", "0" if generator.c_dim > 1 else "")
    if generator.c_dim == 1:
        driver = driver.replace("&class=", "&number=1")
    _Site.runtime = runtime
    _Site.files = {name: (PAGE / name).read_bytes() for name in ("index.html", "explorer.js")}
    _Site.files |= {"network.onnx": network.read_bytes(), "driver.html": driver.encode()}
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/driver.html"
    finally:
        server.shutdown()
        server.server_close()


def draw_by_browser(
    generator: Generator, network: Path, runtime: Path, chromium: str
) -> dict[str, np.ndarray]:
    """{job: uint8 [H,W,4]} of the canvas of docs/onnx/index.html."""
    jobs = [(f"{seed}-{PSI}", seed, PSI, None) for seed in SEEDS]
    # The last ones by moving the slider of an image that is drawn.
    jobs += [(f"{seed}-{MOVED_PSI}", seed, PSI, MOVED_PSI) for seed in SEEDS]
    profile = network.parent / "profile"
    with serving(generator, network, runtime, jobs) as address:
        command = [
            chromium,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
        ]
        command += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
        # Whatever is not on this machine is not found.
        command += ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", f"--user-data-dir={profile}"]
        browser = subprocess.Popen(
            [*command, "--remote-debugging-port=0", address],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            if not _Site.finished.wait(LONGEST_SEC) or "failed" in _Site.results:
                raise SystemExit(
                    f"the page drew nothing: {_Site.results.get('failed', b'no answer').decode()}"
                )
        finally:
            browser.terminate()
            browser.wait()
    shape = (*generator.size, 4)
    return {name: np.frombuffer(_Site.results[name], np.uint8).reshape(shape) for name, *_ in jobs}


def largest_steps(generator: Generator, drawn: dict[str, np.ndarray]) -> int:
    """The largest difference of a pixel from this project's, in steps of 255; alpha of a canvas is not compared."""
    largest = 0
    for name, pixels in drawn.items():
        seed, psi = name.split("-")
        expected = expected_pixels(generator, int(seed), float(psi)).astype(int)
        if pixels.shape[-1] != expected.shape[-1]:
            pixels, expected = pixels[..., :3], expected[..., :3]
        largest = max(largest, int(np.abs(pixels - expected).max()))
    return largest


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", type=Path, help="run folder or network file; without it, random weights")
    parser.add_argument("--runtime", type=Path, help="the folder dist of onnxruntime-web")
    parser.add_argument("--chromium", default="chromium")
    chosen = parser.parse_args()
    generator = random_network() if chosen.network is None else load_generator(chosen.network)
    with tempfile.TemporaryDirectory() as folder:
        network = Path(folder) / "network.onnx"
        print(export_onnx(generator, network, batches=(1, 5, 64))._replace(path=network.name).line)
        steps = {"docs/onnx/draw.py": largest_steps(generator, draw_by_onnxruntime(generator, network))}
        if chosen.runtime is not None:
            drawn = draw_by_browser(generator, network, chosen.runtime, chosen.chromium)
            steps["docs/onnx/index.html in Chromium"] = largest_steps(generator, drawn)
    for name, largest in steps.items():
        print(f"{name}: {2 * len(SEEDS)} images, every pixel within {largest} of 255")
    return int(max(steps.values()) > ALLOWED_STEPS)


if __name__ == "__main__":
    sys.exit(main())
