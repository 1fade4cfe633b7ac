"""Small networks, and tasks that are run as the command runs them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from stylegan.latents.drawer import Drawer
from stylegan.latents.outputs import Output
from stylegan.latents.tasks.images import Images
from stylegan.networks import Generator

SMALL = dict(resolution=16, z_dim=8, w_dim=8, mapping_layers=1, channel_base=128, channel_max=8)
OF_DRAWER = (
    *("noise_mode", "truncation", "truncation_cutoff", "center", "precision", "device", "provenance"),
    *("canvas", "canvas_mode", "layer", "crop", "directions"),
)


def make_generator(*, noise=False, **options):
    """Random weights; with `noise`, of a strength that can be seen, and a mean of w that is not 0."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        generator = Generator(**{**SMALL, **options}).eval().requires_grad_(False)
        if noise:
            generator.mapping.w_avg.normal_()
            for name, _ in generator.synthesis.noise_layers:
                generator.get_submodule(f"synthesis.{name}").noise_strength.fill_(0.5)
    return generator


def make_drawer(generator=None, **options):
    generator = make_generator() if generator is None else generator
    return Drawer(generator, **{"device": "cpu", "precision": "fp32", **options})


@dataclass
class Job:
    """A task with its drawer and place."""

    task: Any
    drawer: Drawer
    output: Output

    def run(self):
        self.task.run(self.drawer, self.output)


def job(tmp_path, generator=None, *, kind=Images, out=None, overwrite=False, **values):
    """A task as a command would make it: `values` are its own and those of its drawer."""
    of_drawer = {key: values.pop(key) for key in OF_DRAWER if key in values}
    task = kind(**{"seeds": "0", **values})
    out = tmp_path / "out" if out is None else out
    return Job(task, make_drawer(generator, **of_drawer), Output(out, overwrite=overwrite))


def pixels(path):
    return np.asarray(Image.open(path))


def images_in(folder):
    """The names in a folder, without the JSON files next to images."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".json")


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}
