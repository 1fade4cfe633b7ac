"""Where a run's numbers go: row files of our own, and Lightning's loggers over images seen."""

from stylegan.loggers.kimg_axis import define_kimg_axis, forget_after, log_image, log_means
from stylegan.loggers.rows import CsvLogger, JsonlLogger, RowLogger
from stylegan.loggers.tensorboard_events import TensorBoardEvents
from stylegan.loggers.wandb_run import WandbRun

__all__ = [
    "CsvLogger",
    "JsonlLogger",
    "RowLogger",
    "TensorBoardEvents",
    "WandbRun",
    "define_kimg_axis",
    "forget_after",
    "log_image",
    "log_means",
]
