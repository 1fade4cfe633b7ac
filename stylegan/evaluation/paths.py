"""Perceptual path length of a network, over pairs of latents by their number."""

from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stylegan.distributed.collectives import on_rank_zero
from stylegan.evaluation.definitions import Definition
from stylegan.evaluation.fakes import Labelled, LabelsOfFakes, check_seeds
from stylegan.evaluation.scores import Results, ScoreError
from stylegan.evaluation.sharing import Rows, rows_of_all
from stylegan.evaluation.watch import Watch
from stylegan.latents import latents_of
from stylegan.latents.seeds import noise_of
from stylegan.machine.devices import full_precision
from stylegan.metrics import path_distances, trimmed_mean
from stylegan.networks.precision import compute_in

# Keeps the places along the paths apart from other draws under the same seed.
_PLACE_STREAM = int.from_bytes(b"path", "big")


def path_results(
    definition: Definition,
    generator: nn.Module,
    detector: Any,
    reals: Labelled | None,
    *,
    seed: int,
    watch: Watch,
) -> Results:
    """The path length as `definition` says, over `num_fakes` pairs: pair i joins the seeds seed + 2i and seed + 2i + 1.

    Both ends of a step have the same fresh noise. The network computes in float32: the steps are too small for less.
    Args: reals: whose labels are drawn; None for a generator without.
    Returns: {name: value}. Raises: EvaluationStoppedError; ScoreError where distances are not finite;
      ValueError for too few seeds.
    """
    num, options = definition.num_fakes, definition.options
    check_seeds(seed, 2 * num)
    exact = deepcopy(generator)
    compute_in(exact, None)
    device = next(exact.parameters()).device
    places = torch.from_numpy(np.random.default_rng([seed, _PLACE_STREAM]).random(num, dtype=np.float32)) * (
        options["sampling"] == "full"
    )
    labels = LabelsOfFakes(reals, num, seed) if exact.c_dim else None

    def distance(one: Tensor, other: Tensor) -> Tensor:
        return (detector.embedding(one) - detector.embedding(other)).square().sum(1)

    def compute(numbers: range) -> Rows:
        rows = slice(numbers.start, numbers.stop)
        c = None if labels is None else labels.of(numbers).to(device)
        firsts = [seed + 2 * number for number in numbers]
        noise = noise_of(firsts, exact.synthesis.noise_layers)
        distances = path_distances(
            exact,
            latents_of(firsts, exact.z_dim).to(device),
            latents_of([first + 1 for first in firsts], exact.z_dim).to(device),
            c,
            places[rows].to(device),
            noise={name: values.to(device) for name, values in noise.items()},
            distance=distance,
            epsilon=options["epsilon"],
            space=options["space"],
            sampling=options["sampling"],
            crop=options["crop"],
        )
        return {"distances": distances.cpu()}

    with torch.no_grad(), full_precision(device):
        rows = rows_of_all(num, compute, watch, f"{definition.name} of {num:,} pairs")

    def mean() -> Results:
        try:
            return {definition.name: float(trimmed_mean(rows["distances"]))}
        except ValueError as error:
            raise ScoreError(f"{definition.name}: {error}") from error

    return on_rank_zero(mean)
