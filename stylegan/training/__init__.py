"""Training: the networks, losses and controllers of one iteration, and their adapter to Lightning."""

from stylegan.training.ada import AdaController
from stylegan.training.lit_module import StyleGAN2ADA, as_lightning
from stylegan.training.phases import BatchPart, LossTerm, Phase, Reports
from stylegan.training.schedules import Schedule, Schedules
from stylegan.training.step import AdversarialTraining

__all__ = [
    "AdaController",
    "AdversarialTraining",
    "BatchPart",
    "LossTerm",
    "Phase",
    "Reports",
    "Schedule",
    "Schedules",
    "StyleGAN2ADA",
    "as_lightning",
]
