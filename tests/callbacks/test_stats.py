"""Ticks: when they come, what is in them, and that an interruption leaves no trace in the rows."""

import csv
import json
import time

import pytest
import torch
from pytorch_lightning.loggers.logger import DummyLogger

from callbacks import KimgCheckpoint, StatsTicks
from callbacks.control import maintenance
from stylegan.errors import UserError
from stylegan.loggers import CsvLogger, JsonlLogger
from stylegan.training import Schedule, Schedules
from tests.callbacks.tiny_run import (
    CallAfter,
    P,
    failing_in,
    fit,
    idle_module,
    iterate,
    tiny_module,
    tiny_trainer,
)


def read_rows(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "stats.jsonl").read_text().splitlines()]


def open_csv(path) -> list[dict]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def repeatable(rows: list[dict]) -> list[dict]:
    return [{k: v for k, v in row.items() if k.startswith(("Loss/", "Progress/"))} for row in rows]


def test_rows_have_what_follows_a_schedule_and_what_is_frozen(tmp_path):
    linear = Schedule(kind="linear", points=[[0, 1], [0.016, 0]])
    module = tiny_module(
        total_images=16,
        schedules=Schedules(r1_gamma=linear, generator_lr=linear),
        freeze=[{"names": "b4.out", "until_kimg": 0.012}],
    )
    fit(module, [StatsTicks(every_kimg=0.008)], [JsonlLogger(folder=tmp_path), CsvLogger(folder=tmp_path)])
    rows = read_rows(tmp_path)
    changing = [{k: v["mean"] for k, v in row.items() if k.startswith("Schedules/")} for row in rows]
    # As the iterations at 4 and 12 images seen had them.
    assert changing == [
        {"Schedules/r1_gamma": 0.75, "Schedules/generator_lr": 0.75, "Schedules/frozen_parameters": 9.0},
        {"Schedules/r1_gamma": 0.25, "Schedules/generator_lr": 0.25, "Schedules/frozen_parameters": 0.0},
    ]
    assert [row["Schedules/r1_gamma"] for row in open_csv(tmp_path / "stats.csv")] == ["0.75", "0.25"]


class Recorder(DummyLogger):
    def __init__(self):
        super().__init__()
        self.calls = []

    def log_metrics(self, metrics, step=None):
        self.calls.append((metrics, step))


def report(trainer, module) -> None:
    """A callback of the user's: iteration i = 0, 1, ... reports 10 i and 10 i + 2; each fourth one also i."""
    i = module.iteration - 1
    module.stats.add("Test/values", torch.tensor([10.0 * i, 10.0 * i + 2]))
    if i % 4 == 0:
        module.stats.add("Test/now and then", torch.tensor(float(i)))


def test_rows_hold_what_was_reported_since_the_row_before(tmp_path):
    module, other = tiny_module(total_images=28), Recorder()
    fit(module, [CallAfter(report), StatsTicks(every_kimg=0.010)], [JsonlLogger(folder=tmp_path), other])
    rows = read_rows(tmp_path)
    # Due after the first iteration that reaches or passes 10 and 20 images, and at the end.
    assert [row["Progress/kimg"]["mean"] for row in rows] == [0.012, 0.020, 0.028]
    assert [row["Progress/tick"]["mean"] for row in rows] == [1, 2, 3]
    # Iterations 0-2, 3-4, 5-6.
    assert [row["Test/values"]["num"] for row in rows] == [6, 4, 4]
    assert [row["Test/values"]["mean"] for row in rows] == pytest.approx([11, 36, 56])
    assert rows[1]["Test/values"]["std"] == pytest.approx(26**0.5)
    # Reported at iterations 0 and 4 only.
    assert [row.get("Test/now and then", {}).get("mean") for row in rows] == [0.0, 4.0, None]
    # Each image has one loss of the generator.
    assert [row["Loss/G/loss"]["num"] for row in rows] == [12, 8, 8]
    assert [row["Progress/augment"]["mean"] for row in rows] == [P] * 3
    assert rows[-1]["Progress/augment"]["num"] == 1
    for row in rows:
        assert 0.05 < row["Resources/cpu_mem_gb"]["mean"] < 64
        assert row["timestamp"] == pytest.approx(time.time(), abs=600)
    assert [step for _, step in other.calls] == [12, 20, 28]
    for (means, step), row in zip(other.calls, rows, strict=True):
        want = {name: stat["mean"] for name, stat in row.items() if name != "timestamp"}
        assert means == {**want, "kimg": step / 1000}


def test_names_are_those_of_the_reference(tmp_path):
    module = tiny_module(total_images=4)
    fit(module, [StatsTicks()], [JsonlLogger(folder=tmp_path)])
    phases = ("Gmain", "Greg", "Dmain", "Dreg")
    assert set(read_rows(tmp_path)[0]) == {
        *("Loss/scores/fake", "Loss/scores/real", "Loss/signs/fake", "Loss/signs/real"),
        *("Loss/G/loss", "Loss/D/loss", "Loss/pl_penalty", "Loss/G/reg", "Loss/r1_penalty", "Loss/D/reg"),
        *(f"Timing/{phase}" for phase in phases),
        *(f"Gradients/nonfinite/{phase}" for phase in phases),
        *("Progress/tick", "Progress/kimg", "Progress/augment"),
        *("Timing/total_sec", "Timing/sec_per_tick", "Timing/sec_per_kimg", "Timing/maintenance_sec"),
        *("Timing/total_hours", "Timing/total_days", "Resources/cpu_mem_gb", "timestamp"),
    }


def test_times_by_a_clock_that_we_move(tmp_path, monkeypatch):
    now = 5_000.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    logger, ticks = JsonlLogger(folder=tmp_path), StatsTicks(every_kimg=2)
    module, trainer = idle_module(total_images=10_000, batch_size=1000), tiny_trainer((), [logger])
    ticks.setup(trainer, module, "fit")
    now += 100  # before training begins: counted nowhere
    ticks.on_train_start(trainer, module)

    def train_on(module, ticks):
        nonlocal now
        now += 3
        iterate(module)
        ticks.on_train_batch_end(trainer, module, None, None, 0)
        with maintenance(module):
            now += 7

    for _ in range(5):
        train_on(module, ticks)
    # The process dies; another continues an hour later.
    state = ticks.state_dict()
    now += 3600
    following, resumed = idle_module(total_images=10_000, batch_size=1000), StatsTicks(every_kimg=2)
    following.load_state_dict(module.state_dict())
    resumed.setup(trainer, following, "fit")
    resumed.load_state_dict(state)
    resumed.on_train_start(trainer, following)
    train_on(following, resumed)
    rows = read_rows(tmp_path)

    def column(name):
        return [row[f"Timing/{name}"]["mean"] for row in rows]

    # The work besides training after a row counts for the next one.
    assert column("maintenance_sec") == [7, 14, 14]
    assert column("sec_per_tick") == [6, 6, 6]
    assert column("sec_per_kimg") == [3, 3, 3]
    assert column("total_sec") == [13, 33, 53]
    assert column("total_hours") == [13 / 3600, 33 / 3600, 53 / 3600]
    assert column("total_days") == [13 / 86400, 33 / 86400, 53 / 86400]


def run(folder, *, fail_at=None, ckpt_path=None):
    # Checkpoints (every 20 images) fall on no tick but one (every 12): open sums must travel along.
    # The checkpoint is listed first, and yet comes last.
    callbacks = [KimgCheckpoint(every_kimg=0.020, folder=folder), StatsTicks(every_kimg=0.012)]
    loggers = [JsonlLogger(folder=folder), CsvLogger(folder=folder)]
    module = tiny_module(total_images=72)
    if fail_at is not None:
        failing_in(module, iteration=fail_at, error=RuntimeError("half an iteration"))
    fit(module, [*callbacks, CallAfter(lambda trainer, module: None)], loggers, ckpt_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    run(folder)
    return folder


@pytest.mark.parametrize("fail_at", [14, 16, 17])
def test_interrupted_and_continued_equals_uninterrupted(tmp_path, whole, fail_at):
    with pytest.raises(RuntimeError, match="half an iteration"):
        run(tmp_path, fail_at=fail_at)
    newest = sorted((tmp_path / "checkpoints").glob("*.ckpt"))[-1]
    run(tmp_path, ckpt_path=newest)
    assert repeatable(read_rows(tmp_path)) == repeatable(read_rows(whole))
    assert [row["Progress/tick"]["mean"] for row in read_rows(tmp_path)] == [1, 2, 3, 4, 5, 6]
    seconds = [row["Timing/total_sec"]["mean"] for row in read_rows(tmp_path)]
    assert seconds == sorted(seconds)

    def csv_columns(folder):
        lines = (folder / "stats.csv").read_text().splitlines()
        keep = [i for i, name in enumerate(lines[0].split(",")) if name.startswith(("Loss/", "Progress/"))]
        return [[line.split(",")[i] for i in keep] for line in lines]

    assert csv_columns(tmp_path) == csv_columns(whole) and len(csv_columns(tmp_path)) == 7


def test_ticks_that_join_a_run_later_count_from_there(tmp_path, monkeypatch):
    now = 0.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    logger, ticks = JsonlLogger(folder=tmp_path), StatsTicks(every_kimg=2)
    module, trainer = idle_module(total_images=100_000, batch_size=2000), tiny_trainer((), [logger])
    iterate(module, 25)
    ticks.setup(trainer, module, "fit")
    ticks.on_train_start(trainer, module)
    now += 6
    iterate(module)
    ticks.on_train_batch_end(trainer, module, None, None, 0)
    assert read_rows(tmp_path)[0]["Timing/sec_per_kimg"]["mean"] == 3


def test_rows_past_the_checkpoint_are_gone_before_training_continues(tmp_path):
    logger = JsonlLogger(folder=tmp_path)
    for kimg in (4.0, 8.0, 12.0):
        logger.log_row({"Progress/kimg": (1, kimg, 0.0)}, timestamp=0.0)
    module = idle_module(total_images=100_000, batch_size=1000)
    iterate(module, 8)
    StatsTicks().on_train_start(tiny_trainer((), [logger]), module)
    assert [row["Progress/kimg"]["mean"] for row in read_rows(tmp_path)] == [4.0, 8.0]


@pytest.mark.parametrize("kind", [JsonlLogger, CsvLogger])
def test_a_file_that_is_refused_for_a_while_costs_no_row(tmp_path, capsys, kind):
    """A folder in its place is refused as a file of another user is, also to root."""

    def taken_away_and_back(_, module):
        if module.images == 8:
            logger.path.rename(tmp_path / "kept")
            logger.path.mkdir()
        elif module.images == 20:
            logger.path.rmdir()
            (tmp_path / "kept").rename(logger.path)

    logger = kind(folder=tmp_path)
    module = idle_module(total_images=32)
    fit(module, [StatsTicks(every_kimg=0.004), CallAfter(taken_away_and_back)], [logger])
    assert module.images == 32
    rows = open_csv(logger.path) if kind is CsvLogger else read_rows(tmp_path)
    ticks = [
        float(row["Progress/tick"]["mean"] if kind is JsonlLogger else row["Progress/tick"]) for row in rows
    ]
    assert ticks == [1, 2, 3, 4, 5, 6, 7, 8]
    out = capsys.readouterr().out
    assert f"a row of {kind.__name__} could not be written ({logger.path}: Is a directory)" in out


@pytest.mark.parametrize("kind", [JsonlLogger, CsvLogger])
def test_a_file_that_is_refused_at_the_start_is_one_line(tmp_path, kind):
    logger = kind(folder=tmp_path)
    logger.path.mkdir()
    with pytest.raises(UserError, match=f"{kind.file_name}: Is a directory; nothing was trained"):
        fit(idle_module(total_images=8), [StatsTicks()], [logger])


def test_state_is_plain(tmp_path):
    module, ticks = idle_module(total_images=8), StatsTicks()
    ticks.setup(tiny_trainer(), module, "fit")
    iterate(module)
    report(None, module)
    torch.save(ticks.state_dict(), tmp_path / "state")
    state = torch.load(tmp_path / "state", weights_only=True)
    assert state["stats"]["Test/values"].tolist() == [[2, 2, 4]]  # a row a process


@pytest.mark.parametrize("every_kimg", [0, -1, float("nan"), float("inf")])
def test_a_cadence_without_sense_is_refused_by_name(every_kimg):
    with pytest.raises(ValueError, match="^every_kimg must be a number of kimg above 0"):
        StatsTicks(every_kimg=every_kimg)
