"""W&B offline: what a run leaves on the disk for `wandb sync`, read record by record."""

import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import wandb
from pytorch_lightning.loggers import WandbLogger
from wandb.proto import wandb_internal_pb2

from stylegan.loggers import define_kimg_axis, log_image, log_means


def records(path: Path) -> Iterator[wandb_internal_pb2.Record]:
    """The records of a `.wandb` file: a 7-byte header, then LevelDB's log framing in blocks of 32 KiB."""
    data, position, parts = path.read_bytes(), 7, []
    while position + 7 <= len(data):
        if (left := 32768 - position % 32768) < 7:
            position += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, position)
        if kind == 0 and length == 0:
            break
        parts.append(data[position + 7 : position + 7 + length])
        position += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            record = wandb_internal_pb2.Record()
            record.ParseFromString(b"".join(parts))
            parts = []
            yield record


def complete_records(path: Path, patience_sec: float = 60) -> list[wandb_internal_pb2.Record]:
    """All records, once the last one is there: wandb's own process writes on for a moment after finish()."""
    deadline = time.monotonic() + patience_sec
    while time.monotonic() < deadline:
        found = list(records(path))
        if any(record.WhichOneof("record_type") == "exit" for record in found):
            return found
        time.sleep(0.05)
    raise AssertionError(f"{path} has no end after {patience_sec} s")


@pytest.fixture
def offline(tmp_path, monkeypatch):
    # Set, not deleted: monkeypatch then takes away what WandbLogger(offline=True) sets for the process.
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    for folder in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(folder, str(tmp_path / folder.lower()))
    yield WandbLogger(offline=True, save_dir=tmp_path, project="test", name="run")
    wandb.finish()


def test_rows_pictures_and_axis_reach_the_offline_file(offline, tmp_path):
    rows = [(4_032, 0.5), (8_064, 0.25), (8_064 + 32, 0.125)]
    define_kimg_axis([offline])
    define_kimg_axis([offline])
    for images, loss in rows:
        log_means(offline, {"Loss/G/loss": loss, "Progress/augment": images / 1e6}, images)
    log_image(offline, "fakes", torch.full((1, 8, 16), 7, dtype=torch.uint8), 8_096)
    wandb.finish()

    (path,) = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    history, axes = [], {}
    for record in complete_records(path):
        kind = record.WhichOneof("record_type")
        if kind == "history":
            history.append(
                {i.key or ".".join(i.nested_key): json.loads(i.value_json) for i in record.history.item}
            )
        if kind == "metric":
            axes[record.metric.name or record.metric.glob_name] = record.metric.step_metric
    scalars = [line for line in history if "Loss/G/loss" in line]
    assert [(line["kimg"], line["Loss/G/loss"]) for line in scalars] == [(n / 1000, loss) for n, loss in rows]
    assert [line["Progress/augment"] for line in scalars] == [n / 1e6 for n, _ in rows]
    assert [line["trainer/global_step"] for line in scalars] == [n for n, _ in rows]
    assert axes["*"] == "kimg"
    (image,) = [line for line in history if any(key.startswith("fakes") for key in line)]
    assert image["kimg"] == 8.096
    assert len(list(path.parent.glob("files/media/images/fakes*.png"))) == 1
