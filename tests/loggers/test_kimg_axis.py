"""The axis of TensorBoard and others, images seen, read back with TensorBoard's own reader."""

import io
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.loggers.logger import DummyLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from stylegan.loggers import define_kimg_axis, forget_after, log_image, log_means


class Recorder(DummyLogger):
    def __init__(self):
        super().__init__()
        self.calls = []

    def log_metrics(self, metrics, step=None):
        self.calls.append((metrics, step))


def test_tensorboard_has_images_as_its_x_axis(tmp_path):
    logger = TensorBoardLogger(tmp_path, name="", version="tensorboard")
    define_kimg_axis([logger])
    for images in (4_032, 8_064, 25_000_000):
        log_means(logger, {"Loss/G/loss": images / 2}, images)
    image = torch.zeros(3, 8, 16, dtype=torch.uint8)
    image[0] = 255
    log_image(logger, "fakes", image, 8_064)
    logger.finalize("success")
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    read = [(event.step, event.value) for event in events.Scalars("Loss/G/loss")]
    assert read == [(4_032, 2_016.0), (8_064, 4_032.0), (25_000_000, 12_500_000.0)]
    (image,) = events.Images("fakes")
    assert image.step == 8_064
    pixels = np.asarray(PIL.Image.open(io.BytesIO(image.encoded_image_string)))
    assert pixels.shape == (8, 16, 3) and (pixels == [255, 0, 0]).all()


def test_rows_are_written_at_once(tmp_path):
    logger = TensorBoardLogger(tmp_path, name="", version="tensorboard")
    log_means(logger, {"x": 1.0}, 4000)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert events.Scalars("x")[0].value == 1.0


@pytest.mark.parametrize(("position", "kept"), [(8_000, [4_000, 8_000]), (0, [])])
def test_tensorboard_forgets_what_is_trained_again(tmp_path, position, kept):
    def process(values, position=None):
        logger = TensorBoardLogger(tmp_path, name="", version="tensorboard")
        if position is not None:
            forget_after(logger, position)
        for images, value in values:
            log_means(logger, {"x": value}, images)
        logger.finalize("success")

    process([(4_000, 1.0), (8_000, 2.0), (12_000, 3.0), (16_000, 4.0)])
    time.sleep(1.1)  # the names of event files have their second
    process([(12_000, 5.0)], position)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    read = [(event.step, event.value) for event in events.Scalars("x")]
    assert read == [*zip(kept, [1.0, 2.0], strict=False), (12_000, 5.0)]


def test_other_loggers_get_images_as_step_and_kimg_as_field():
    logger = Recorder()
    log_means(logger, {"x": 1.0}, 12_800)
    log_image(logger, "fakes", torch.zeros(3, 8, 8, dtype=torch.uint8), 12_800)
    assert logger.calls == [({"x": 1.0, "kimg": 12.8}, 12_800)]


def test_big_grids_are_averaged_down_for_dashboards(tmp_path):
    logger = TensorBoardLogger(tmp_path, name="", version="tensorboard")
    checks = (torch.arange(2048) % 2 * 200).to(torch.uint8).expand(1, 1030, 2048)
    log_image(logger, "fakes", checks, 0)
    logger.finalize("success")
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    pixels = np.asarray(PIL.Image.open(io.BytesIO(events.Images("fakes")[0].encoded_image_string)))
    assert pixels.shape[:2] == (515, 1024) and (pixels == 100).all()


def test_what_no_run_asks_for_is_not_loaded():
    """TensorBoard and W&B take a second each; a program loads them with a logger that writes there."""
    body = (
        "import sys, callbacks, datamodules, torch\n"
        "from stylegan.loggers import CsvLogger, define_kimg_axis, forget_after, log_image\n"
        "logger = CsvLogger(folder='nowhere')\n"
        "define_kimg_axis([logger]); forget_after(logger, 8)\n"
        "log_image(logger, 'fakes', torch.zeros(3, 4, 4, dtype=torch.uint8), 8)\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'tensorboard', 'wandb'}))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", body], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
