"""Commands of the docs: each is run as it stands there, with a tiny network in place of a trained one.

    python -m benchmarks.docs_commands                          # all pages
    python -m benchmarks.docs_commands docs/interpolation.md

A page is read from top to bottom, in a folder of its own. What a command names and no command before it has made (a
run, a photograph, a song, latents) is made small: networks of 32 px, pictures of 40 px, a song of three seconds. A
block of YAML or CSV becomes the file that was named last before it.
"""

import argparse
import os
import re
import shlex
import sys
import tempfile
import time
import wave
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image

ROOT = Path(__file__).parents[1]
PAGES = (
    "generating",
    "interpolation",
    "video",
    "mixing",
    "projection",
    "directions",
    "from_photographs_to_a_loop",
    "gallery",
)
SIDE_PX = 32
CLASSES = ("fox", "dog", "cat")
# What a training of the docs is here: long enough to save a network, and no longer.
SHORT = {
    "train": {"preset": "tiny", "resolution": str(SIDE_PX), "batch_size": "8", "total_kimg": "0.016"}
    | {"metrics": "none", "trainer": "cpu"},
    "generate": {"steps": "12", "tuning_steps": "4", "samples": "200"},
}
_BLOCK = re.compile(r"^ *```(?P<kind>\w*)\n(?P<text>.*?)^ *```", re.DOTALL | re.MULTILINE)
_FILE = r"[\w./-]+\.{}\b"


def main(argv: list[str] | None = None) -> int:
    """Returns: the number of commands that failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pages", nargs="*", type=Path, default=[ROOT / f"docs/{page}.md" for page in PAGES])
    failed = 0
    for page in parser.parse_args(argv).pages:
        with tempfile.TemporaryDirectory() as folder:
            failed += run_page(page.absolute(), Path(folder))
    print(f"{failed} commands failed")
    return failed


def run_page(page: Path, folder: Path) -> int:
    """Runs all commands of a page in `folder`. Returns: how many failed."""
    before, failed = Path.cwd(), 0
    os.chdir(folder)
    try:
        text = page.read_text(encoding="utf-8")
        write_blocks(text)
        for command in commands_of(text):
            began = time.monotonic()
            code = run(command)
            print(
                f"{page.name}: {shlex.join(command)}: code {code}, {time.monotonic() - began:.1f} s",
                flush=True,
            )
            failed += code != 0
    finally:
        os.chdir(before)
    return failed


def commands_of(text: str) -> Iterator[list[str]]:
    """The words of each `python train.py ...` and the like in the blocks of a page, as a shell has them."""
    for block in _BLOCK.finditer(text):
        if block["kind"] in ("", "bash", "sh"):
            for line in block["text"].replace("\\\n", " ").splitlines():
                words = shlex.split(line.strip().removeprefix("$ "), comments=True)
                if words[:1] == ["python"] and Path(words[1]).stem in ("train", "generate", "evaluate"):
                    # A foreign flag is there to show what it is answered.
                    if not any(word.startswith("--") for word in words):
                        yield words


def write_blocks(text: str) -> None:
    """Blocks of YAML and CSV as files, by the name that stands last before each."""
    for block in _BLOCK.finditer(text):
        ending = "csv" if block["text"].lstrip().startswith("seed,") else block["kind"]
        if ending in ("yaml", "csv") and (names := re.findall(_FILE.format(ending), text[: block.start()])):
            lines = block["text"].splitlines()
            margin = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
            Path(names[-1]).write_text("\n".join(line[margin:] for line in lines) + "\n", encoding="utf-8")


def run(command: list[str]) -> int:
    """Makes what a command needs, and runs it in this process."""
    from stylegan.cli import evaluate, generate, train

    mains = {"train": train.main, "generate": generate.main, "evaluate": evaluate.main}
    name, words = Path(command[1]).stem, command[2:]
    given = dict(word.split("=", 1) for word in words if "=" in word)
    for key, value in given.items():
        make(key, value)
    for yaml in Path().glob("*.yaml"):
        make_named_in(yaml.read_text(encoding="utf-8"))
    short = SHORT.get(name, {})
    if name == "generate":
        task = given.get("task", "images")
        own = {"projection": ("steps", "tuning_steps"), "directions": ("samples",)}.get(task, ())
        short = {
            key: value
            for key, value in short.items()
            if key in own and (key != "tuning_steps" or "tuned" in words)
        }
    words = [word for word in words if word.partition("=")[0] not in short]
    return mains[name]([*words, *(f"{key}={value}" for key, value in short.items())])


def make(key: str, value: str) -> None:
    """What a key of a command names, where it is not there."""
    if key in ("network", "low", "high", "transfer.path", "resume"):
        make_run(Path(value), seed=1 + ("high" in key))
        return
    if key in ("target", "data.path", "masks") and not Path(value).suffix:
        make_pictures(Path(value))
        return
    make_named_in(value)


MAKERS: Mapping[str, Callable[[Path], None]]


def make_named_in(text: str) -> None:
    for ending, maker in MAKERS.items():
        for name in re.findall(_FILE.format(ending), text):
            path = Path(name)
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                maker(path)


def make_run(path: Path, seed: int) -> None:
    """A run folder with one network; `animals` has classes. All networks have one ancestor."""
    from stylegan.interop import save_generator
    from stylegan.networks import Generator

    file = path / "checkpoints/kimg0000001.000.safetensors" if not path.suffix else path
    if path.exists() or "*" in str(path):
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        classes = {"c_dim": len(CLASSES), "label_names": list(CLASSES)} if path.stem == "animals" else {}
        small = dict(z_dim=32, w_dim=32, mapping_layers=2, channel_base=256, channel_max=16)
        generator = Generator(resolution=SIDE_PX, **small, **classes)
        with torch.no_grad():
            torch.manual_seed(seed)
            for parameter in generator.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
    save_generator(file, generator)
    if not path.suffix:
        (path / "config.yaml").touch()
        (path / "snapshots").mkdir()
        for kimg in ("0000000.500", "0000001.000"):
            make_picture(path / f"snapshots/fakes_kimg{kimg}.png")
        torch.save(
            {
                "format_version": 1,
                "generator": generator.options,
                "state_dict": {
                    f"generator_ema.{name}": value for name, value in generator.state_dict().items()
                },
            },
            file.with_suffix(".ckpt"),
        )


def make_picture(path: Path, seed: int = 0) -> None:
    """A smooth picture; one that is named as a seed is drawn by the network of its run, or of `foxes`."""
    if (named := re.fullmatch(r"seed(\d{4})", path.stem)) is not None:
        from stylegan.cli.generate import main as generate

        run = path.parent.parent if path.parent.name == "generated" else Path("runs/foxes")
        make_run(run, seed=1)
        apart = path.parent / f"of-{path.stem}"
        generate([f"network={run}", f"seeds={int(named[1])}", f"out={apart}"])
        for file in (path.name, f"{path.name}.json"):
            (apart / file).replace(path.parent / file)
        return
    pixels = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((40, 40), Image.Resampling.BICUBIC).save(path)


def make_pictures(folder: Path) -> None:
    if not folder.exists():
        folder.mkdir(parents=True)
        for number in range(16 if folder.name != "masks" else 2):
            make_picture(folder / f"{number:03d}.png", number)


def make_song(path: Path) -> None:
    """Three seconds with four beats a second."""
    time_sec = np.arange(3 * 22050) / 22050
    sound = np.sin(2 * np.pi * 110 * time_sec) * np.exp(-20 * (time_sec % 0.25))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(22050)
        file.writeframes((sound * 20000).astype("<i2").tobytes())


def make_latents(path: Path) -> None:
    """w of four images in a file, one for a file that is named alone."""
    random = np.random.default_rng(sum(path.name.encode()))
    if any(word in path.name for word in ("smile", "age", "pose", "direction")):
        vector = random.standard_normal((2, 1, 32)).astype(np.float32)
        np.savez(path, direction=vector / np.linalg.norm(vector, axis=-1, keepdims=True))
        return
    count = 5 if "walk" in path.name else 1
    np.savez(path, w=random.standard_normal((count, 1, 32)).astype(np.float32))


MAKERS = {
    "npz": make_latents,
    "wav": make_song,
    "mp3": make_song,
    "png": make_picture,
    "jpg": make_picture,
    "safetensors": lambda path: make_run(path, seed=1),
}


if __name__ == "__main__":
    sys.exit(main())
