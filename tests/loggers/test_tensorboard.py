"""TensorBoard's events on a full disk, read back with TensorBoard's own reader."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from stylegan.loggers import TensorBoardEvents, log_means


@contextmanager
def full_disk() -> Iterator[None]:
    """A limit on the size of files replaces it; the first record of a new file gets through in part."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)


def steps(folder: Path) -> list[int]:
    events = EventAccumulator(str(folder))
    events.Reload()
    return [event.step for event in events.Scalars("x")]


@pytest.fixture
def logger(tmp_path):
    return TensorBoardEvents(tmp_path, name="", version="tensorboard")


def test_events_go_on_after_a_full_disk(logger, tmp_path, capsys):
    folder = tmp_path / "tensorboard"
    log_means(logger, {"x": 1.0}, 1000)
    with full_disk():
        for images in (2000, 3000):
            log_means(logger, {"x": 1.0}, images)
            logger.save()  # as Lightning does by itself
    for images in (4000, 5000):
        log_means(logger, {"x": 1.0}, images)
    logger.finalize("success")
    assert steps(folder) == [1, 4, 5]
    said = capsys.readouterr()
    assert said.out.count("warning     events of TensorBoard could not be written") == 1
    assert said.err == ""


@pytest.mark.parametrize("status", ["success", "failed"])
def test_the_end_on_a_full_disk_raises_nothing(logger, tmp_path, capsys, status):
    log_means(logger, {"x": 1.0}, 1000)
    with full_disk():
        logger.experiment.add_scalar("x", 2.0, 2)
        logger.finalize(status)
    assert "could not be written" in capsys.readouterr().out
    assert steps(tmp_path / "tensorboard") == [1]


def test_what_is_not_a_full_disk_is_raised(logger):
    with pytest.raises(ValueError, match="you tried to log"):
        logger.log_metrics({"x": object()}, step=1)
