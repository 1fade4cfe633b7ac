"""The files of docs/extending.md train as they stand there, and none of ours is touched."""

import csv
import importlib
import inspect
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from PIL import Image

import callbacks
from stylegan.cli.generate import main as generate
from stylegan.cli.train import main as train
from tests.integration.docs_blocks import DOCS, blocks_of, commands_of

PAGE = "extending.md"
SMALL = [
    *("preset=tiny", "resolution=8", "batch_size=4", "total_kimg=0.016", "trainer=cpu", "ada.p_init=0.5"),
    *("generator.channel_max=8", "data.num_items=10", "augpipe=bg", "logger=default"),
    *("callbacks.snapshots.columns=2", "callbacks.snapshots.rows=2"),
]


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A folder with the page's `my_conf` in it, and the working folder."""
    for block in blocks_of(PAGE):
        if block.path:
            path = tmp_path / block.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def arguments_of(command: str) -> list[str]:
    return [*SMALL, *shlex.split(command)]


def state_of(run: Path) -> dict:
    (path,) = (run / "checkpoints").glob("*.ckpt")
    return torch.load(path, weights_only=True)


@pytest.mark.long
@pytest.mark.parametrize("command", list(dict.fromkeys(commands_of(PAGE, "train.py"))))
def test_a_command_of_the_page_trains_and_its_run_draws(here, command, capfd):
    assert train(arguments_of(command)) == 0, capfd.readouterr().err
    runs = sorted((here / "runs").glob("*/"))
    runs = [run for run in runs if not run.name.startswith(".")]
    assert len(runs) == (2 if "-m" in command.split() else 1)
    for run in runs:
        assert state_of(run)["state_dict"]["images_seen"] == 16
        assert generate([f"network={run}", "seeds=1"]) == 0
    assert str(here / "my_conf") not in sys.path
    assert not {"my_loss", "my_given_length", "my_bcr", "my_critic", "my_data", "my_metric"} & set(
        sys.modules
    )


def test_the_parts_are_those_of_the_page(here):
    """Not ours: each leaves something that only it can have done."""
    assert (
        train(arguments_of("--config-dir my_conf experiment=critic data=boards callbacks=with_brightness"))
        == 0
    )
    run = here / "runs" / "critic"
    state = state_of(run)
    assert state["discriminator"] == {"resolution": 8, "channels": 3, "c_dim": 0, "width": 32}
    assert {name.split(".")[1] for name in state["state_dict"] if name.startswith("discriminator.")} == {
        *("layers", "out")
    }
    with open(run / "stats.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    (column,) = (name for name in rows[-1] if name.startswith("Metrics/brightness"))
    assert 0 < float(rows[-1][column]) < 1


@pytest.mark.parametrize(
    ("module", "part"), [("my_given_length", "GivenLength"), ("my_path_length", "SteepestLayer")]
)
def test_coefficients_of_the_page_are_the_gradient_of_its_penalty(here, monkeypatch, module, part):
    """What a batch in parts learns is what it learns at once."""
    monkeypatch.syspath_prepend(here / "my_conf")
    made = [
        getattr(importlib.import_module(module), part)(weight=2.0, decay=0.1, batch_shrink=2) for _ in "ab"
    ]
    whole, in_parts = made
    lengths = torch.tensor([0.2, 1.5, 3.0], requires_grad=True)
    (expected,) = torch.autograd.grad(whole(lengths).mean(), lengths)
    coefficients, penalties = in_parts.coefficients(lengths)
    torch.testing.assert_close(coefficients, expected)
    assert not coefficients.requires_grad and not penalties.requires_grad
    assert whole.samples_of(4) == 2 and whole.samples_of(1) == 1


@pytest.mark.parametrize("micro_batch", [4, 2])
def test_a_path_length_of_ones_own_is_what_trains(here, micro_batch):
    """Lengths of an untrained network are of the order of 1, so the penalty is about 1000², at once and in parts."""
    words = "experiment=given_length module.path_length.length=1000 total_kimg=0.004"
    assert train(arguments_of(f"--config-dir my_conf {words} micro_batch={micro_batch}")) == 0
    with open(here / "runs" / "given_length" / "stats.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert 990**2 < float(rows[-1]["Loss/pl_penalty"]) < 1000**2


@pytest.mark.parametrize("words", ["", "micro_batch=2"])
def test_a_further_loss_is_one_more_phase(here, words):
    assert train(arguments_of(f"--config-dir my_conf experiment=bcr {words}")) == 0
    with open(here / "runs" / "bcr" / "stats.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[-1]["Loss/D/bcr"]) > 0 and float(rows[-1]["Timing/Dbcr"]) > 0
    assert "further_losses.Dbcr.pipe.p" in state_of(here / "runs" / "bcr")["state_dict"]


@pytest.mark.long
def test_a_wrong_value_for_a_part_of_ones_own_is_one_line(here, capfd):
    wrong = {
        "experiment=hinge module.adversarial_loss.margin=0": "margin must be above 0, got 0",
        "experiment=hinge module.adversarial_loss.margin=wide": "module.adversarial_loss.margin must be a number",
        "experiment=given_length module.path_length.length=0": "length must be above 0, got 0",
        "experiment=bcr module.further_phases.bcr.loss.weight=-1": "weight must be at least 0, got -1",
        "experiment=bcr module.further_phases.bcr.learns=critic": "learns must be generator or discriminator",
        "experiment=critic discriminator.width=wide": "discriminator.width must be a whole number, got 'wide'",
        "experiment=critic discriminator.mbstd_group=2": "there is no key discriminator.mbstd_group",
        "callbacks=with_brightness callbacks.brightness.every_kimg=0": "callbacks.brightness.every_kimg must be a",
        "data=boards data.num_item=3": "there is no key data.num_item; did you mean data.num_items?",
        "experiment=hing": "experiment=hing: there is no such file",
    }
    small = [word for word in SMALL if not word.startswith("data.")]
    for words, message in wrong.items():
        assert train([*small, "--config-dir", "my_conf", *words.split()]) == 2
        (line,) = capfd.readouterr().err.splitlines()
        assert message in line
    assert not (here / "runs").exists()


def smaller(text: str, **changes: str) -> str:
    """The page's text with its sizes replaced, each of which must be there."""
    for old, new in changes.values():
        assert old in text
        text = text.replace(old, new)
    return text


def run_python(text: str, folder: Path, monkeypatch, **names: object) -> None:
    monkeypatch.syspath_prepend(folder)
    exec(compile(text, "page", "exec"), dict(names))


def make_foxes() -> None:
    Path("foxes").mkdir()
    for i in range(6):
        Image.new("RGB", (10, 10), (40 * i, 0, 0)).save(f"foxes/{i}.png")


class Interrupt(pl.Callback):
    """Ctrl-C within the given iteration."""

    def __init__(self, iteration: int):
        self.iteration = iteration

    def on_train_batch_start(self, trainer, module, *_):
        if module.iteration == self.iteration:
            signal.raise_signal(signal.SIGINT)


def python_of(page: str) -> list[str]:
    return [block.text for block in blocks_of(page) if block.language == "python" and not block.path]


def test_the_python_of_the_page_trains(here):
    """In a program of its own, where nothing of ours was imported before."""
    (text,) = python_of(PAGE)
    text = smaller(text, px=("=32", "=8"), batch=("batch_size=16", "batch_size=4"), kimg=("=100,", "=0.016,"))
    (here / "mine.py").write_text(text, encoding="utf-8")
    subprocess.run([sys.executable, "mine.py"], cwd=here, check=True, capture_output=True)
    state = state_of(here / "runs" / "python")
    assert state["state_dict"]["images_seen"] == 16
    assert state["discriminator"]["width"] == 64
    assert generate(["network=runs/python", "seeds=1"]) == 0


def test_the_python_of_the_training_page_saves_at_ctrl_c_and_continues(here, monkeypatch):
    make_foxes()
    text = smaller(
        python_of("training.md")[0],
        px=("=64", "=8"),
        batch=("batch_size=32", "batch_size=4"),
        kimg=("=1000,", "=0.016,"),
        stats=("StatsTicks(every_kimg=4)", "StatsTicks(every_kimg=0.004)"),
    )
    interrupted = smaller(text, callbacks=("callbacks=[", "callbacks=[Interrupt(1), "))
    before = signal.getsignal(signal.SIGINT)
    for code, images, script in ((130, 8, interrupted), (0, 16, text)):
        with pytest.raises(SystemExit) as left:
            run_python(script, here, monkeypatch, Interrupt=Interrupt)
        assert left.value.code == code
        newest = max((here / "runs" / "foxes" / "checkpoints").glob("*.ckpt"))
        assert torch.load(newest, weights_only=True)["state_dict"]["images_seen"] == images
    assert signal.getsignal(signal.SIGINT) is before
    with open(here / "runs" / "foxes" / "stats.csv", newline="") as file:
        assert [float(row["Progress/kimg"]) for row in csv.DictReader(file)] == [0.004, 0.008, 0.012, 0.016]
    assert sorted(path.name for path in here.iterdir()) == ["foxes", "my_conf", "runs"]
    assert sorted(path.name for path in (here / "runs" / "foxes").iterdir()) == [
        *("checkpoints", "snapshots", "stats.csv"),
    ]


def test_the_dataloader_of_the_training_page_trains(here, monkeypatch):
    text = smaller(
        python_of("training.md")[1],
        px=("resolution=32", "resolution=8"),
        data=(", 32, 32)", ", 8, 8)"),
        batch=("batch_size=16", "batch_size=4"),
        kimg=("total_kimg=10", "total_kimg=0.008"),
    )
    run_python(text, here, monkeypatch)
    assert [path.name for path in here.iterdir()] == ["my_conf"]


def test_the_callbacks_of_the_training_page_are_all_of_them():
    page = (DOCS / "training.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^\| `(\w+)` \|", page.partition("| from `callbacks` |")[2], re.M))
    parts = {name: getattr(callbacks, name) for name in callbacks.__all__}
    assert named == {
        name for name, part in parts.items() if inspect.isclass(part) and issubclass(part, pl.Callback)
    }


def test_the_python_of_the_plain_torch_page_trains(here, monkeypatch, capsys):
    make_foxes()
    text, _ = python_of("plain_torch.md")
    assert len(text.splitlines()) <= 36
    text = smaller(
        text,
        px=("=64", "=8"),
        batch=("batch_size=32", "batch_size=4"),
        kimg=("=1000,", "=0.008,"),
        every=("due(10)", "due(0.008)"),
    )
    run_python(text, here, monkeypatch)
    assert capsys.readouterr().out.startswith("kimg 0.008: p 0.000, D ")
    assert generate(["network=foxes.safetensors", "seeds=1"]) == 0


@pytest.mark.long
def test_the_plain_loop_that_is_left_by_ctrl_c_continues_as_if_it_were_not(here, monkeypatch):
    make_foxes()
    parts, loop = python_of("plain_torch.md")
    parts = smaller(
        parts.partition("training.start(data)")[0],
        px=("=64", "=8"),
        batch=("batch_size=32", "batch_size=4"),
        kimg=("=1000,", "=0.016,"),
        ada=("AdaController()", "AdaController(p_init=0.5)"),
    )
    leaving = smaller(
        loop, step=("training.step(images, labels)", "training.step(images, labels); leave(training)")
    )

    def leave(training):
        if training.clock.images == 8:
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    try:
        run_python(parts + leaving, here, monkeypatch, leave=leave)
        assert torch.load("foxes.pt", weights_only=True)["training"]["images_seen"] == 8
        run_python(parts + loop, here, monkeypatch)
        continued = torch.load("foxes.pt", weights_only=True)
        Path("foxes.pt").unlink()
        run_python(parts + loop, here, monkeypatch)
        whole = torch.load("foxes.pt", weights_only=True)
    finally:
        signal.signal(signal.SIGINT, before)
    assert continued["training"]["images_seen"] == 16
    for name, value in whole["training"].items():
        assert torch.equal(continued["training"][name], value), name
