"""A training whose folder or lock is taken away: it ends with 75 and one line, and writes nothing more."""

import os
import shutil
from pathlib import Path

import pytest
import pytorch_lightning as pl

from stylegan.cli.train import main
from tests.cli.test_train import SMALL

EVERYTHING = [
    *SMALL,
    *(
        "name=lost",
        "total_kimg=1",
        "callbacks.stats.every_kimg=0.004",
        "callbacks.checkpoint.every_kimg=0.008",
    ),
    *("callbacks.snapshots.every_kimg=0.004", "metrics=none"),
]
BEFORE: dict[str, bytes] = {}


def contents(place: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(place.rglob("*")) if path.is_file()}


class Harm(pl.Callback):
    """Does harm within the fifth iteration. Args: kind: which. run: its folder."""

    def __init__(self, kind: str, run: str) -> None:
        self.kind, self.run = kind, Path(run)

    def on_train_batch_start(self, trainer, module, *_):
        if module.images != 16:
            return
        if self.kind == "removed":
            (self.run / "run.lock").unlink()
        elif self.kind == "deleted":
            shutil.rmtree(self.run)
        elif self.kind == "moved":
            self.run.rename(self.run.with_name("moved"))
        elif self.kind == "taken":
            (self.run / "run.lock").write_text('{"pid": 7, "host": "elsewhere"}')
        else:
            self.run.rename(self.run.with_name("moved"))
            shutil.copytree(self.run.with_name("moved"), self.run)
            (self.run / "run.lock").write_text('{"pid": 7, "host": "elsewhere"}')
        # Events are written by a thread of TensorBoard's, into the file that it has open.
        BEFORE.update(contents(self.run.parent))


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        pytest.param("removed", "run.lock was removed", marks=pytest.mark.long),
        pytest.param("deleted", "was deleted or moved", marks=pytest.mark.long),
        ("moved", "was moved to"),
        ("taken", "was taken over by process 7 on elsewhere"),
        ("replaced", "was taken over by process 7 on elsewhere"),
    ],
)
def test_it_stops(tmp_path, monkeypatch, capfd, kind, said):
    monkeypatch.chdir(tmp_path)
    BEFORE.clear()
    harm = [
        f"+callbacks.harm._target_={__name__}.Harm",
        f"+callbacks.harm.kind={kind}",
        "+callbacks.harm.run=runs/lost",
    ]
    assert main([*EVERYTHING, *harm]) == 75
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("stylegan-train: runs/lost") and said in line
    after = contents(tmp_path / "runs")
    assert {path: content for path, content in after.items() if "tensorboard" not in path} == {
        str(tmp_path / path): content for path, content in BEFORE.items() if "tensorboard" not in path
    }
    if kind == "moved":
        os.rename("runs/moved", "runs/lost")
    if kind in ("removed", "moved"):
        assert main([*EVERYTHING, "total_kimg=0.02"]) == 0
        assert "continuing from kimg 0.016" in capfd.readouterr().out
