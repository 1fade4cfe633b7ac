"""`micro_batch=auto`: what is chosen, what is measured, and what a run does with it."""

import json
import math
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from datamodules.datasets.pixel_memory import PixelMemory
from stylegan.cli import memory_probe as micro_batch
from stylegan.cli.memory_probe import Need, largest_that_fits, measured_micro_batch
from stylegan.cli.train import main
from stylegan.configuration.batches import whole_groups
from stylegan.configuration.complete import with_values
from stylegan.configuration.compose import composed
from stylegan.machine.memory import Room, promised_bytes
from tests.configuration.completing import completed_from, labelled

SMALL = ("preset=tiny", "trainer=cpu", "logger=none", "callbacks.snapshots=null")
# So small that it is quick, and that images still count next to the libraries.
REAL = (
    *SMALL,
    "resolution=64",
    "batch_size=8",
    "data.workers=0",
    "data.cache=false",  # what images would take is not what a batch takes
    "logger=default",
    "loss.r1_interval_iterations=2",
)
MEGABYTES = 10**6


def completed(*words):
    config = labelled(completed_from(composed("train", [*SMALL, *words])).config)
    return with_values(config, {"data_fingerprint": ""})


@given(device_batch=st.integers(1, 96), group=st.integers(1, 8))
def test_groups_stay_whole(device_batch, group):
    sizes = whole_groups(device_batch, group)
    assert sizes == sorted(set(sizes)) and sizes[-1] == device_batch
    assert all(device_batch % part == 0 and (part % group == 0 or part == device_batch) for part in sizes)
    assert all(part in sizes for part in range(group, device_batch + 1, group) if device_batch % part == 0)


@given(
    device_batch=st.integers(1, 96),
    group=st.integers(1, 8),
    lines=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 100)), min_size=1, max_size=4),
    usable=st.integers(0, 6000),
    most=st.integers(0, 8000),
)
def test_the_largest_that_fits_is_found(device_batch, group, lines, usable, most):
    """Oracle: all sizes tried. The need of the worst of several phases, each a line; past `most` there is no number."""

    def need(part):
        peak = max(fixed + an_image * part for fixed, an_image in lines)
        return Need(peak if peak <= max(most, usable) else math.inf, usable)

    asked = []

    def measure(part):
        asked.append(part)
        return need(part)

    sizes = whole_groups(device_batch, group)
    part, found = largest_that_fits(sizes, measure)
    fitting = [size for size in sizes if need(size).fits]
    assert part == (fitting[-1] if fitting else sizes[0]) and found == need(part)
    assert asked[0] == sizes[0] and len(asked) == len(set(asked))


@given(
    device_batch=st.integers(1, 96),
    noise=st.lists(st.integers(0, 300), min_size=97, max_size=97),
    usable=st.integers(0, 3000),
)
def test_what_is_returned_has_been_measured(device_batch, noise, usable):
    """Also where measurements follow no line at all."""
    needs = {part: Need(20 * part + noise[part], usable) for part in whole_groups(device_batch, 2)}
    asked = []
    part, need = largest_that_fits(list(needs), lambda part: asked.append(part) or needs[part])
    assert part in asked and need == needs[part]
    assert need.fits or part == min(needs)


def test_a_line_needs_three_measurements():
    asked = []
    largest_that_fits(whole_groups(64, 4), lambda part: asked.append(part) or Need(100 + 10 * part, 450))
    assert asked == [4, 8, 32]


@pytest.mark.parametrize(
    ("words", "sizes", "processes_here"),
    [
        (["batch_size=16"], [4, 8, 16], 1),
        (["batch_size=16", "trainer.devices=2"], [4, 8], 2),
        (["batch_size=12", "discriminator.mbstd_channels=0"], [1, 2, 3, 4, 6, 12], 1),
        (["batch_size=6"], [6], 1),
    ],
)
def test_the_share_of_a_device_is_measured(monkeypatch, words, sizes, processes_here):
    asked = []

    def measured(config, part, *, processes_here):
        asked.append((part, processes_here))
        return Need(1, 2)

    monkeypatch.setattr(micro_batch, "_measured", measured)
    part, origin = measured_micro_batch(completed("micro_batch=auto", *words))
    assert {size for size, _ in asked} <= set(sizes) and part == sizes[-1]
    assert {here for _, here in asked} == {processes_here}
    assert origin.startswith("measured, ")


def test_where_the_smallest_does_not_fit_nothing_is_made(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(micro_batch, "_measured", lambda *args, **kwargs: Need(3.2e9, 10**9))
    assert main([*SMALL, f"runs_dir={tmp_path}", "micro_batch=auto", "total_kimg=0.1"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "micro_batch=auto" in line and "needs 3.2 GB" in line and "1.0 GB can be used" in line
    assert "resolution" in line and "channel_base" in line
    assert not list(tmp_path.glob("*/config.yaml"))


def test_explain_measures(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(micro_batch, "_measured", lambda config, part, **_: Need(part * 1e9, 9 * 10**9))
    assert main([*SMALL, f"runs_dir={tmp_path}", "micro_batch=auto", "batch_size=32", "explain=true"]) == 0
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  micro_batch")]
    assert row.split(maxsplit=2)[1:] == ["8", "measured, 8.0 GB of 9.0 GB"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", ["0", "-4", "2.5", "many", "true", "[4]", "''"])
def test_anything_else_is_one_line(capsys, value):
    assert main([*SMALL, f"micro_batch={value}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "micro_batch must be a whole number above 0, auto or null, got" in line


def test_auto_needs_a_share_that_comes_out_even(capsys):
    assert main([*SMALL, "micro_batch=auto", "batch_size=9", "trainer.devices=2"]) == 2
    assert "batch_size 9 cannot be divided among 2 devices" in capsys.readouterr().err


ENDS = """
    import os, resource, signal
    from pathlib import Path
    from stylegan.training import AdversarialTraining

    class Killed(AdversarialTraining):
        def __init__(self, **options):
            os.kill(os.getpid(), signal.SIGKILL)

    class Refused(AdversarialTraining):
        def __init__(self, **options):
            super().__init__(**options)
            held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (held + 2**25, held + 2**25))

    class Wrong(AdversarialTraining):
        def __init__(self, **options):
            raise ValueError("seed must be odd")
"""


def test_memory_that_pictures_will_take_is_not_there_for_a_batch(monkeypatch, capsys):
    monkeypatch.setattr(micro_batch, "room_of_machine", lambda: Room(10**10, 8 * 10**9))
    monkeypatch.setattr(micro_batch, "held_bytes", lambda: 10**9)
    before = promised_bytes()
    memory = PixelMemory(10**6, (3, 16, 16))  # a few megabytes, until pictures are written
    assert promised_bytes() - before == 768 * 10**6
    assert micro_batch._room(1).free_bytes == 9 * 10**9 - before - 768 * 10**6
    # Each process keeps its own.
    assert micro_batch._room(3).free_bytes == 9 * 10**9 - 3 * (before + 768 * 10**6)
    assert micro_batch._room(100).free_bytes == 0
    monkeypatch.setattr(micro_batch, "_measured", lambda *args, **kwargs: Need(1, 2))
    measured_micro_batch(completed("micro_batch=auto"))
    assert "are left to pictures that stay in it; data.cache=false needs none" in capsys.readouterr().out
    del memory


@pytest.fixture
def own_file(tmp_path, monkeypatch):
    (tmp_path / "my_ends.py").write_text(textwrap.dedent(ENDS))
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of Linux")
@pytest.mark.parametrize("end", [pytest.param("Killed", marks=pytest.mark.long), "Refused"])
def test_where_memory_runs_out_it_does_not_fit(own_file, end):
    """By the kernel's SIGKILL, and where it gives no more: torch's own error, met for lack of address space."""
    config = completed("resolution=64", "batch_size=32", "micro_batch=auto")
    config.module["_target_"] = f"my_ends.{end}"
    need = micro_batch._measured(config, 32, processes_here=1)
    assert need.peak_bytes == math.inf and not need.fits


def test_a_fault_of_the_parts_is_reported_in_one_line(own_file, tmp_path, capsys):
    words = ["micro_batch=auto", "total_kimg=0.1", "module._target_=my_ends.Wrong", f"runs_dir={tmp_path}"]
    assert main([*SMALL, *words]) == 2
    assert capsys.readouterr().err.splitlines() == ["stylegan-train: seed must be odd"]


@pytest.fixture
def limited(monkeypatch):
    """A machine with memory for 4 images at a time, not for 8: by what 4 of them really need."""
    need = micro_batch._measured(completed(*REAL, "micro_batch=auto"), 4, processes_here=1)
    # 8 images need about 150 MB more.
    total = 10 * round(need.peak_bytes + 60 * MEGABYTES) // 9
    monkeypatch.setattr(micro_batch, "room_of_machine", lambda: Room(total, total))


def losses(run: Path) -> list[dict]:
    rows = [json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines()]
    return [
        {key: value for key, value in row.items() if key.startswith(("Loss", "Progress/kimg"))}
        for row in rows
    ]


@pytest.mark.long
def test_a_run_measures_once_and_continues_with_the_number(limited, tmp_path, capsys):
    words = [*REAL, f"runs_dir={tmp_path}", "callbacks.stats.every_kimg=0.008"]
    assert main([*words, "name=auto", "micro_batch=auto", "total_kimg=0.016"]) == 0
    said = capsys.readouterr().out
    assert "measuring   8 at a time" in said and "measuring   micro_batch=4" in said
    assert OmegaConf.load(tmp_path / "auto/config.yaml").micro_batch == 4
    # The same as the number given by hand.
    assert main([*words, "name=hand", "micro_batch=4", "total_kimg=0.016"]) == 0
    assert losses(tmp_path / "auto") == losses(tmp_path / "hand")
    assert all(row["Loss/G/loss"]["mean"] > 0 for row in losses(tmp_path / "auto"))
    # It stays, unless it is requested again.
    capsys.readouterr()
    assert main([*words, "name=auto", "total_kimg=0.024"]) == 0
    said = capsys.readouterr().out
    assert "measuring" not in said and "micro-batches of 4" in said and "continuing from kimg 0.016" in said
