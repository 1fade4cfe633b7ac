"""Phases as data: what they refuse, how often they run, and one more of them."""

import pytest
import torch
from torch import Tensor, nn

from stylegan.augment import AugmentPipe
from stylegan.training import LossTerm, Phase
from tests.training.trainings import batch, training


class Consistency(LossTerm):
    """Logits of a head of its own do not change with the image's colours; counts its calls in a buffer."""

    def __init__(self, *, weight: float = 2.0):
        super().__init__()
        self.weight = weight
        self.pipe = AugmentPipe(brightness=1)
        self.head = nn.Linear(1, 1)
        self.register_buffer("calls", torch.zeros([]))

    def draw(self, n, image_shape, generator):
        return self.pipe.draw(n, image_shape, generator)

    def forward(self, networks, part, reports) -> Tensor:
        changed = self.pipe(part.reals, draws=part.draw.own)
        before, after = (networks.discriminate(x, part.labels, None) for x in (part.reals, changed))
        self.calls += 1
        loss = self.head(before - after).square().flatten()
        reports.add("Loss/D/consistency", loss)
        return loss


def phase(**options):
    return Phase(**dict(name="Dcon", learns="discriminator", loss=Consistency()) | options)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (dict(name="D con"), "name must be letters, digits and underscores, got 'D con'"),
        (dict(learns="critic"), "learns must be generator or discriminator, got critic"),
        (dict(draws=("latent",)), "draws must be some of latents, path_noise, .*, got latent"),
        (dict(interval_iterations=0), "interval_iterations must be at least 1, got 0"),
    ],
)
def test_nonsense_is_refused(bad, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        phase(**bad)


def test_a_phase_makes_up_for_its_interval_and_is_off_at_weight_zero():
    lazy = phase(interval_iterations=3)
    assert lazy.gain == 6 and [lazy.runs_at(i) for i in range(4)] == [True, False, False, True]
    off = phase(loss=Consistency(weight=0))
    assert not off.is_on and not off.runs_at(0)


def test_two_phases_of_one_name_are_refused():
    with pytest.raises(ValueError, match="further_phases must have names of their own, got Dmain"):
        training(batch_size=4, further_phases={"mine": phase(name="Dmain")})


def test_one_more_phase_learns_reports_and_is_saved():
    trained = training(batch_size=4, further_phases={"mine": phase(interval_iterations=2)})
    head = trained.further_losses["Dcon"].head.weight
    before = head.detach().clone()
    for i in range(3):
        trained.step(*batch(4, i))
    assert not torch.equal(head, before), "its parameters learn with the network"
    assert trained.state_dict()["further_losses.Dcon.calls"] == 2
    stats = trained.stats.take()
    assert stats["Loss/D/consistency"].num == 8 and stats["Timing/Dcon"].num == 2


def test_one_more_phase_leaves_the_draws_of_the_others_alone():
    """Before it learns anything: the first phases of both trainings get the same gradients."""
    trainings = training(batch_size=4), training(batch_size=4, further_phases={"mine": phase()})
    for trained in trainings:
        trained.run_phase("Dmain", *batch(4, 0))
    plain, more = (trained.gradients.optimizers["discriminator"] for trained in trainings)
    weights = [trained.discriminator.b4.out.weight for trained in trainings]
    assert torch.equal(plain.state[weights[0]]["exp_avg_sq"], more.state[weights[1]]["exp_avg_sq"])


def test_one_more_phase_is_the_same_in_parts():
    whole, parts = (
        training(
            batch_size=8, micro_batch=part, dtype=torch.float64, further_phases={"mine": phase(loss=loss)}
        )
        for part, loss in ((8, Consistency()), (4, Consistency()))
    )
    for trained, other in zip(whole.further_losses.values(), parts.further_losses.values(), strict=True):
        other.head.load_state_dict(trained.head.state_dict())
    for i in range(3):
        for trained in (whole, parts):
            trained.step(*batch(8, i))
    for (name, ours), theirs in zip(whole.state_dict().items(), parts.state_dict().values(), strict=True):
        if not name.endswith("calls"):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9, msg=name)


@pytest.mark.parametrize("name", ["keys", "items", "forward", "training"])
def test_a_name_under_which_no_loss_can_be_kept_is_refused(name):
    with pytest.raises(
        ValueError, match=f"further_phases: a phase cannot be called {name!r}; take another name"
    ):
        training(batch_size=4, further_phases={"mine": phase(name=name)})
