"""From seeds and latents to images."""

from stylegan.latents.sampling import Sampler
from stylegan.latents.seeds import latents_of, parse_seeds

__all__ = ["Sampler", "latents_of", "parse_seeds"]
