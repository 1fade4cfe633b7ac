"""Projection: pictures found in a network, by search for latents and by tuning the generator to them."""

from stylegan.latents.projection.difference import apply_difference, write_difference
from stylegan.latents.projection.losses import open_loss
from stylegan.latents.projection.noise_maps import interpolate_noise
from stylegan.latents.projection.schedule import Schedule
from stylegan.latents.projection.search import SearchSettings, search
from stylegan.latents.projection.statistics import w_statistics
from stylegan.latents.projection.tuning import Tuner, Tuning

__all__ = [
    "Schedule",
    "SearchSettings",
    "Tuner",
    "Tuning",
    "apply_difference",
    "interpolate_noise",
    "open_loss",
    "search",
    "w_statistics",
    "write_difference",
]
