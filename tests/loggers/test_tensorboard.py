"""TensorBoard's events on a full disk, and what HPARAMS shows, read back with TensorBoard's own reader."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch.utils.tensorboard
import yaml
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from stylegan.loggers import TensorBoardEvents, forget_after, log_image, log_means


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
    # Of two files, in the order of their names, which hold whole seconds and a number.
    assert sorted(steps(folder)) == [1000, 4000, 5000]
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
    assert steps(tmp_path / "tensorboard") == [1000]


def everything(logger) -> None:
    """What a run asks of it, Lightning's own question included."""
    logger.experiment.add_scalar("x", 0.0, 1)
    logger.log_hyperparams(CONFIG)
    forget_after(logger, 0)
    log_image(logger, "reals", torch.zeros(3, 4, 4, dtype=torch.uint8), 0)
    log_means(logger, {"x": 1.0}, 1000)
    logger.finalize("success")


def test_a_folder_that_is_refused_costs_the_events_alone(logger, tmp_path, capsys, monkeypatch):
    """As one that is read-only for the user is; root is refused nothing."""

    def denied(log_dir, **_):
        raise PermissionError(13, "Permission denied", os.fsencode(log_dir))

    with monkeypatch.context() as patched:
        patched.setattr(torch.utils.tensorboard, "SummaryWriter", denied)
        everything(logger)
    said = capsys.readouterr().out
    reason = f"({tmp_path / 'tensorboard'}: Permission denied); the rest continues"
    assert said == f"warning     events of TensorBoard could not be written {reason}\n"
    everything(logger)  # it answers again
    assert steps(tmp_path / "tensorboard") == [1000]  # the mark of a start hides the first


def test_a_file_where_the_folder_should_be_costs_the_events_alone(logger, tmp_path, capsys):
    (tmp_path / "tensorboard").touch()
    everything(logger)
    out = capsys.readouterr().out
    assert out.count(f"could not be written ({tmp_path / 'tensorboard'}: File exists)") == 1
    assert out.count("\n") == 1


def test_what_is_not_a_full_disk_is_raised(logger):
    with pytest.raises(ValueError, match="you tried to log"):
        logger.log_metrics({"x": object()}, step=1)


def hparams(folder: Path) -> tuple[dict[str, object], list[str]]:
    """The values and the charts of the tab HPARAMS."""
    events = EventAccumulator(str(folder))
    events.Reload()
    found = events.PluginTagToContent("hparams")
    session = HParamsPluginData.FromString(found["_hparams_/session_start_info"]).session_start_info
    values = {key: getattr(value, value.WhichOneof("kind")) for key, value in session.hparams.items()}
    experiment = HParamsPluginData.FromString(found["_hparams_/experiment"]).experiment
    return values, [info.name.tag for info in experiment.metric_infos]


@pytest.mark.parametrize("text", ["a ${", "${}", "${oc.env:HOME}", r"\${seed}", "${seed}", "$\\{", "é 🦊"])
def test_a_text_of_the_configuration_is_shown_as_it_is(logger, tmp_path, text):
    config = {"name": text, "data": {"include": [text, (1, None)]}, "odd": Path("a")}
    logger.log_hyperparams(config)
    logger.finalize("success")
    values, _ = hparams(tmp_path / "tensorboard")
    assert values["name"] == text
    written = yaml.safe_load((tmp_path / "tensorboard" / "hparams.yaml").read_text(encoding="utf-8"))
    assert written == {"name": text, "data": {"include": [text, [1, None]]}, "odd": "a"}


CONFIG = {
    "loss": {"r1_gamma": 0.5},
    "resume": None,
    "betas": [0.0, 0.99],
    "explain": False,
    "seed": 3,
    "empty": {},
}


def test_the_configuration_is_shown_next_to_the_newest_values(logger, tmp_path):
    """Also where a run continues, which takes back what was logged after its checkpoint."""
    logger.log_hyperparams(CONFIG)
    for images in (1000, 2000):
        log_means(logger, {"Progress/augment": images / 1e4}, images)
    logger.finalize("success")
    again = TensorBoardEvents(tmp_path, name="", version="tensorboard")
    again.log_hyperparams(CONFIG | {"seed": 4})
    forget_after(again, 1000)
    log_means(again, {"Progress/augment": 0.3}, 2000)
    again.finalize("success")
    values, charts = hparams(tmp_path / "tensorboard")
    assert values == {
        "loss.r1_gamma": 0.5,
        "resume": "null",
        "betas": "[0.0, 0.99]",
        "explain": False,
        "seed": 3,  # with which the run began: TensorBoard shows the first
        "empty": "{}",
    }
    assert "Progress/augment" in charts
    assert yaml.safe_load((tmp_path / "tensorboard" / "hparams.yaml").read_text()) == CONFIG | {"seed": 4}


def test_the_configuration_on_a_full_disk_is_lost_alone(logger, tmp_path, capsys):
    with full_disk():
        logger.log_hyperparams(CONFIG)
    log_means(logger, {"x": 1.0}, 1000)
    logger.finalize("success")
    assert capsys.readouterr().out.count("could not be written") == 1
    assert steps(tmp_path / "tensorboard") == [1000]


def test_steps_below_one_kimg_are_apart(logger, tmp_path):
    for images in (4, 8, 12, 1000, 1004):
        log_means(logger, {"x": 1.0}, images)
    logger.finalize("success")
    assert steps(tmp_path / "tensorboard") == [4, 8, 12, 1000, 1004]


def test_events_over_kimg_of_an_earlier_version_are_a_curve_of_their_own(logger, tmp_path):
    older = TensorBoardLogger(tmp_path, name="", version="tensorboard")
    older.log_metrics({"x": 1.0}, step=7)
    older.finalize("success")
    logger.log_hyperparams(CONFIG)
    log_means(logger, {"x": 1.0}, 8000)
    logger.finalize("success")
    assert steps(tmp_path / "tensorboard") == [8000]
    assert steps(tmp_path / "tensorboard" / "kimg_axis") == [7]
