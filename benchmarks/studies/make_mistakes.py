"""Make the mistakes of docs/mistakes.md and write down the answers: `python -m benchmarks.studies.make_mistakes`.

Fails where a mistake gives a traceback, an exit code other than 2, or another number of lines than it has faults.
"""

import argparse
import contextlib
import io
import os
import shlex
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from stylegan.machine.text import counted

PAGE = Path(__file__).parents[2] / "docs" / "mistakes.md"
# A mistake that is not refused would train for days.
LONGEST_SECONDS = 120
# What the working folder is called on the page.
HOME = "/home/me"


@dataclass(frozen=True)
class Mistake:
    """A command line that is refused.

    Args:
        command: as it is typed, without `python`.
        faults: how many lines it should give.
    """

    command: str
    faults: int = 1


MISTAKES = (
    # Words
    Mistake("train.py resolutoin=64"),
    Mistake("train.py prest=tiny"),
    Mistake("train.py preset=tinny"),
    Mistake("train.py data=folder data.pth=foxes"),
    Mistake("train.py data=null"),
    Mistake("train.py data=foxes"),
    Mistake("train.py kimg=1000 gamma=10", faults=2),
    Mistake("train.py loss.r1_gamma=0,5"),
    Mistake("train.py loss.r1_gama=0.5 total_kimg=much optim.beta=[0,0.9]", faults=3),
    Mistake("train.py ada.targt=0.5 generator.z_dim=abc data.xflip=often", faults=3),
    Mistake("train.py data=folder foxes"),
    Mistake("generate.py runs/done"),
    Mistake("train.py resolution = 64"),
    Mistake("train.py resolution=48×32"),
    Mistake("train.py 'metrics=[kid;fid]'"),
    Mistake("train.py 'optim.betas=(0,0.9)'"),
    Mistake("train.py total_kimg=25,000"),
    Mistake("train.py seed==3"),
    Mistake("train.py seed=1,2"),
    Mistake("train.py fp32=true"),
    Mistake("train.py aug=ada"),
    Mistake("train.py ada=noaug"),
    Mistake("train.py grayscale=1"),
    Mistake("train.py dry-run=1"),
    Mistake("train.py epochs=10"),
    Mistake("train.py data.xflip=2"),
    Mistake("train.py data.channels=rgba"),
    Mistake("train.py data=folder data.path=foxes data.labels=1"),
    # Flags
    Mistake("generate.py --seeds 0-3"),
    Mistake("train.py --outdir=runs --data=foxes --cfg=auto --gamma 10"),
    Mistake(
        "train.py --data F --mirror=1 --cfg=paper256 --aug=ada --target 0.7 --gamma=10 --snap=4 --batch 16 --gpus 2"
        " --outdir runs --kimg 1000 --freezed 4 --resume ffhq256 --cond 1 --subset 100 --seed 3 --fp32 1 --nhwc 1 -n",
        faults=2,
    ),
    Mistake("train.py --resume=latest"),
    Mistake("train.py --project=x logger=none", faults=2),
    Mistake("train.py --multrun seed=1"),
    Mistake("train.py --quux=3"),
    Mistake(
        "generate.py --network=ffhq.pkl --seeds=0-10 --trunc=0.7 --outdir=out --noise-mode=const --class=1"
    ),
    Mistake("evaluate.py --network=runs/done --metrics=fid50k_full,kid50k_full --mirror=1 --data foxes"),
    Mistake("train.py --config-dir my_cnf experiment=small"),
    Mistake("train.py --config-dir my_conf experiment=typo"),
    Mistake("train.py module.adversarial_loss._target_=my_loss.Hinge"),
    # Values
    Mistake("train.py total_kimg=-1 batch_size=0", faults=2),
    Mistake("train.py loss.r1_gamma=-1"),
    Mistake("train.py resolution=1000x600"),
    Mistake("train.py batch_size=32 micro_batch=12"),
    Mistake("train.py name=foxes/large"),
    # Schedules and freezing
    Mistake("train.py 'schedules={ema.half_life_kimg: {kind: linear, points: [[0,5],[1000,10]]}}'"),
    Mistake("train.py 'schedules.ada.p_init={kind: linear, points: [[0,0],[1000,0.6]]}'"),
    Mistake("train.py preset=tiny 'schedules.loss.r1_gamma={kind: steps, points: [[500,3]]}'"),
    Mistake("train.py preset=tiny transfer.freeze=maping"),
    # Pictures
    Mistake("train.py data=folder data.path=foxs"),
    Mistake("train.py data=folder data.path=empty"),
    Mistake("train.py data=folder data.path=damaged"),
    Mistake("train.py data=folder data.path=foxes resolution=null"),
    Mistake("train.py data=folder data.path=foxes batch_size=64"),
    Mistake("train.py data=folder data.path=foxes data.labels=json"),
    # Runs
    Mistake("train.py runs_dir=notes.txt"),
    Mistake("train.py --config-dir my_conf experiment=small name=done resume=never"),
    Mistake("train.py --config-dir my_conf experiment=small name=done generator.z_dim=16"),
    Mistake("train.py resume=runs/done seed=7"),
    Mistake("train.py resume=runs"),
    Mistake("train.py resume=done"),
    Mistake("train.py resume=runs/dne"),
    # Beginning from another run
    Mistake("train.py resume=runs/done name=other"),
    Mistake("train.py resume=runs/done/checkpoints/kimg0000000.008.safetensors name=other"),
    Mistake("train.py resume=ffhq.pkl name=other"),
    # Transfer
    Mistake("train.py transfer.path=runs/dne name=other"),
    Mistake(
        "train.py transfer.path=runs/done name=other transfer.parts=[G,X] transfer.min_matched=2", faults=2
    ),
    # Drawing
    Mistake("generate.py network=cut.ckpt"),
    Mistake("generate.py network=evil.pkl"),
    Mistake("generate.py network=runs/done label=2"),
    Mistake("generate.py network=runs/done device=cuda:99"),
)

SMALL = """\
# @package _global_
defaults:
  - override /preset: tiny
  - override /trainer: cpu
resolution: 8
batch_size: 4
total_kimg: 0.008
generator: {z_dim: 8, w_dim: 8, channel_max: 8}
discriminator: {channel_max: 8}
callbacks:
  snapshots: {columns: 2, rows: 2}
"""


def prepare(folder: Path) -> None:
    """Makes what the commands are given: images, recipes, a finished run, and a checkpoint that is cut off."""
    for name in ("foxes", "empty", "damaged", "my_conf/experiment"):
        (folder / name).mkdir(parents=True)
    for i in range(6):
        Image.new("RGB", (40 + 8 * (i // 3), 40), (40 * i, 90, 30)).save(folder / "foxes" / f"{i}.png")
        (folder / "damaged" / f"{i}.png").write_bytes(b"\x89PNG")
    (folder / "notes.txt").write_text("no pictures\n")
    (folder / "ffhq.pkl").write_bytes(b"\x80\x04N.")
    (folder / "evil.pkl").write_bytes(b"\x80\x03cos\nsystem\nX\x0b\x00\x00\x00touch foxes\x85R.")
    (folder / "my_conf" / "experiment" / "small.yaml").write_text(SMALL)
    (folder / "my_conf" / "experiment" / "typo.yaml").write_text("# @package _global_\nresolutoin: 64\n")
    code, stderr = answer("train.py --config-dir my_conf experiment=small name=done", folder)
    assert code == 0, stderr
    (checkpoint,) = (folder / "runs" / "done" / "checkpoints").glob("*.ckpt")
    (folder / "cut.ckpt").write_bytes(checkpoint.read_bytes()[:1000])


def answer(command: str, folder: Path) -> tuple[int, str]:
    """Runs a command in `folder`.

    Returns:
        Its exit code and what it wrote to stderr.
    Raises:
        TimeoutError: the command was not refused.
        Exception: what would be a traceback.
    """
    from stylegan.cli import evaluate, generate, train

    program, *words = shlex.split(command)
    main = {"train.py": train.main, "generate.py": generate.main, "evaluate.py": evaluate.main}[program]
    stderr = io.StringIO()
    with _inside(folder), contextlib.redirect_stderr(stderr), contextlib.redirect_stdout(io.StringIO()):
        code = main(words)
    return code, stderr.getvalue()


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    def too_long(*_) -> None:
        raise TimeoutError("the command was not refused")

    before = Path.cwd()
    os.chdir(folder)
    old = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(LONGEST_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, old)
        os.chdir(before)


def lines_of(mistake: Mistake, folder: Path) -> list[str]:
    """The answer to a mistake, without the program's name.

    Raises:
        SystemExit: it is not one line a fault and exit code 2, or files were made.
    """
    before = sorted(folder.rglob("*"))
    code, stderr = answer(mistake.command, folder)
    shown = stderr.replace(str(folder), HOME)
    lines = [line.partition(": ")[2] for line in shown.splitlines()]
    if sorted(folder.rglob("*")) != before:
        raise SystemExit(f"{mistake.command}: files were left behind")
    if code != 2 or len(lines) != mistake.faults or not all(lines):
        raise SystemExit(
            f"{mistake.command}: exit code {code}, {counted(mistake.faults, 'line')} expected, got\n{shown}"
        )
    return lines


def table(rows: list[tuple[Mistake, list[str]]]) -> str:
    lines = ["| `python ...` | answer |", "|---|---|"]
    for mistake, answers in rows:
        answers = [line.replace("|", "\\|").replace("<", "&lt;") for line in answers]
        lines.append(f"| `{mistake.command}` | {'<br>'.join(answers)} |")
    return "\n".join(lines)


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary).resolve()
        prepare(folder)
        rows = [(mistake, lines_of(mistake, folder)) for mistake in MISTAKES]
    PAGE.write_text(
        "# Mistakes and their answers\n\n"
        "A command answers a mistake on stderr with one line a fault, which names the key or the file, the value, and\n"
        "the nearest right thing or the way out. The exit code is 2, and no folder is left behind. A traceback is a\n"
        "bug in this project.\n\n"
        "`python -m benchmarks.studies.make_mistakes` wrote this table by making each of the mistakes. There was a\n"
        "folder `foxes` of six pictures, `empty` without any, `damaged` with six cut ones, a run `done`,\n"
        "`cut.ckpt`, `ffhq.pkl`, and `evil.pkl`, which would run a program.\n\n" + table(rows) + "\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    main()
