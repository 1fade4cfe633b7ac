"""From seeds and latents to images, videos, projections and directions; `tasks/` is what the generate command makes.

The parts to begin with in a notebook: `drawer.Drawer` draws, `points.parse_points` reads `0-5,fox.npz`,
`interpolation.loops_of_seeds` and `through_points` make videos, `projection.search` finds pictures, and `directions`
moves them.
"""

from stylegan.latents.sampling import Sampler
from stylegan.latents.seeds import latents_of, parse_seeds

__all__ = ["Sampler", "latents_of", "parse_seeds"]
