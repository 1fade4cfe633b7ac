"""A batch in parts trains as the whole batch does, on the real networks."""

import pytest
import torch

from stylegan.distributed import collectives as ranks
from tests.training.standalone import batch, module

N = 16


@pytest.mark.parametrize(
    "c_dim",
    # The one that covers more is run every time.
    [pytest.param(0, id="unconditional", marks=pytest.mark.long), pytest.param(3, id="conditional")],
)
def test_micro_batches_change_nothing_in_twenty_iterations(c_dim):
    """float64, all four phases, style mixing, random noise, bgc at p 0.5: every parameter and buffer."""
    whole, eights, fours = (
        module(batch_size=N, micro_batch=part, c_dim=c_dim, dtype=torch.float64) for part in (N, 8, 4)
    )
    start = {name: value.clone() for name, value in whole.state_dict().items()}
    for i in range(20):
        for trained in (whole, eights, fours):
            trained.training_step(batch(N, i, c_dim), i)
    moved = 0.0
    for parts in (eights, fours):
        assert whole.images == parts.images == 20 * N
        for (name, a), b in zip(whole.state_dict().items(), parts.state_dict().values(), strict=True):
            assert (a - b).abs().max() <= 1e-9, name
            moved = max(moved, (a - start[name]).abs().max().item() if a.is_floating_point() else 0.0)
    assert moved > 0.01, "nothing was trained: the comparison is empty"


PHASES = ("Gmain", "Greg", "Dmain", "Dreg")


def gradients(trained, phase):
    """Of one phase from the fresh state, of all processes; the optimiser is kept from stepping."""

    class NoStep:
        def step(self):
            pass

    trained._own_optimizers = (NoStep(), NoStep())
    reals, _ = batch(N, 2)
    reals = reals[ranks.rank() :: ranks.world()]
    images = trained._like_weights(reals / 127.5 - 1)
    match phase:
        case "Gmain":
            trained.generator_main(0)
        case "Greg":
            trained.generator_regularize(0)
        case "Dmain":
            trained.discriminator_main(0, images, None)
        case "Dreg":
            trained.discriminator_regularize(0, images, None)
    player = trained.generator if phase.startswith("G") else trained.discriminator
    return torch.cat([p.grad.flatten() for p in player.parameters()])


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("micro_batch", [8, 4])
def test_first_gradients_in_float32(phase, micro_batch):
    """With seed 2: float32 rounding flips a unit near a kink for some seeds, and then the gradient jumps. Seed 0 does
    so in D-reg by 1e-3, though in float64, where nothing flips, the test above holds it to 1e-9."""
    whole = gradients(module(batch_size=N, seed=2), phase)
    parts = gradients(module(batch_size=N, micro_batch=micro_batch, seed=2), phase)
    assert whole.abs().max() > 0
    assert (whole - parts).abs().max() <= 1e-5 * whole.abs().max()


def test_the_mean_path_length_is_taken_over_the_whole_batch():
    whole, parts = module(batch_size=N), module(batch_size=N, micro_batch=4)
    for trained in (whole, parts):
        trained.training_step(batch(N, 0), 0)
    assert whole.path_length.mean_length > 0
    torch.testing.assert_close(
        whole.path_length.mean_length, parts.path_length.mean_length, rtol=1e-5, atol=0
    )


def test_an_uneven_split_is_refused():
    with pytest.raises(ValueError, match="batch_size 16 must be a multiple of micro_batch 5"):
        module(batch_size=N, micro_batch=5)
