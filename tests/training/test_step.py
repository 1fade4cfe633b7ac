"""One iteration, phase by phase and in parts, on small real networks."""

import pytest
import torch

from stylegan.losses import PathLengthPenalty, R1Penalty
from stylegan.training import AdaController
from stylegan.training.step import AdversarialTraining
from tests.training.trainings import PHASES, batch, first_gradients, networks, started, training

N = 16


def phases_of(trained, iterations, monkeypatch):
    """Which phases run in which iteration; nothing is computed."""
    ran = []
    monkeypatch.setattr(trained, "_run", lambda phase, iteration, *rest: ran.append((iteration, phase.name)))
    for i in range(iterations):
        trained.step(*batch(trained.batch_size, i))
    return ran


def test_order_and_laziness(monkeypatch):
    trained = training(batch_size=4, pl_interval_iterations=2, r1_interval_iterations=3)
    expected = {
        0: ["Gmain", "Greg", "Dmain", "Dreg"],
        1: ["Gmain", "Dmain"],
        2: ["Gmain", "Greg", "Dmain"],
        3: ["Gmain", "Dmain", "Dreg"],
    }
    ran = phases_of(trained, 4, monkeypatch)
    assert ran == [(i, name) for i, names in expected.items() for name in names]


def test_laziness_follows_the_clock_after_a_restart(monkeypatch):
    first, then = (training(batch_size=4, pl_interval_iterations=2, r1_interval_iterations=3) for _ in "ab")
    first.clock.images_seen.fill_(4 * 3)
    then.load_state_dict(first.state_dict())
    assert phases_of(then, 1, monkeypatch) == [(3, "Gmain"), (3, "Dmain"), (3, "Dreg")]


@pytest.mark.parametrize(
    "off",
    [
        dict(path_length=PathLengthPenalty(weight=0), r1=R1Penalty(gamma=0)),
        dict(path_length=None, r1=None),
    ],
)
def test_a_weight_of_zero_turns_a_regulariser_off(off, monkeypatch):
    trained = training(batch_size=4, **off)
    assert [name for _, name in phases_of(trained, 1, monkeypatch)] == ["Gmain", "Dmain"]
    with pytest.raises(ValueError, match="name must be one of Gmain, Dmain, got Greg"):
        trained.run_phase("Greg", *batch(4, 0))


def test_each_phase_moves_its_own_network_only():
    trained = started(batch_size=4)
    for name, network in zip(PHASES, ["generator"] * 2 + ["discriminator"] * 2, strict=True):
        before = {n: p.clone() for n, p in trained.named_parameters()}
        trained.run_phase(name, *batch(4, 0))
        moved = {n.split(".")[0] for n, p in trained.named_parameters() if not torch.equal(p, before[n])}
        assert moved == {network}


@pytest.mark.parametrize("micro_batch", [8, 4])
def test_phases_one_by_one_are_those_of_an_iteration(micro_batch):
    """Oracle: `step`, which runs them all; the same weights bit for bit."""
    whole, single = (started(batch_size=8, micro_batch=micro_batch) for _ in "ab")
    images, labels = batch(8, 0)
    whole.step(images, labels)
    for name in PHASES:
        single.run_phase(name, images.float() / 127.5 - 1)
    single.update_ema()
    for name, weight in whole.named_parameters():
        torch.testing.assert_close(single.get_parameter(name), weight, rtol=0, atol=0)


def test_a_parameter_the_loss_does_not_touch_is_stepped_with_gradient_zero():
    """Its count rises and its second moment decays, as in the reference; a gradient of None would skip it."""
    trained = training(batch_size=4, pl_interval_iterations=1)
    trained.run_phase("Gmain", *batch(4, 0))
    bias = trained.generator.synthesis.b16.torgb.bias
    adam = trained.gradients.optimizers["generator"]
    before = adam.state[bias]["exp_avg_sq"].clone()
    trained.run_phase("Greg", *batch(4, 0))
    assert adam.state[bias]["step"].item() == 2
    torch.testing.assert_close(adam.state[bias]["exp_avg_sq"], before * 0.99**0.5)


def test_frozen_parameters_stay():
    frozen = {"discriminator.b16.fromrgb.weight", "generator.synthesis.b4.const"}
    trained = training(batch_size=4, without_grad=frozen)
    before = {name: value.clone() for name, value in trained.named_parameters()}
    trained.step(*batch(4, 0))
    still = {n for n, p in trained.named_parameters() if torch.equal(p, before[n]) and "_ema" not in n}
    assert still == frozen


@pytest.mark.parametrize(("mode", "p"), [("fixed", 0.25), ("none", 0.0), ("adaptive", 0.75)])
def test_only_an_adaptive_p_is_taken_from_a_checkpoint(mode, p):
    trained = training(batch_size=4, ada=AdaController(mode=mode, p_init=0.25))
    trained.ada.p.fill_(0.75)
    trained.start()
    assert trained.ada.p.item() == p


def test_nonfinite_gradients_are_reported_by_phase():
    trained = training(batch_size=4)
    trained.generator.synthesis.b4.const.data[0, 0, 0] = float("nan")
    trained.run_phase("Gmain", *batch(4, 0))
    assert trained.stats.take()["Gradients/nonfinite/Gmain"].mean > 0
    assert all(
        p.isfinite().all() for n, p in trained.generator.named_parameters() if n != "synthesis.b4.const"
    )


def test_real_signs_of_both_discriminator_phases_reach_the_controller():
    trained = training(batch_size=4)
    for name, count in (("Dmain", 4), ("Dreg", 8), ("Gmain", 8)):
        trained.run_phase(name, *batch(4, 0))
        assert trained.ada.sign_count.item() == count


def test_the_pipe_works_at_the_controllers_p():
    trained = started(batch_size=4, p=0.25)
    assert trained.augment.p.item() == 0.25
    trained.step(*batch(4, 0))
    assert trained.augment.p.item() == 0.25


def test_the_pipe_gets_p_where_it_moves_and_not_in_between():
    trained = training(batch_size=4, ada=AdaController(p_init=0.5, target=0.123, interval_iterations=2))
    seen = []
    for iteration in range(4):
        trained.step(*batch(4, iteration))
        assert trained.augment.p == trained.ada.p
        seen.append((trained.augment.p.item(), trained.augment.p._version))
    first, moved, still, again = seen
    assert first[0] == 0.5 != moved[0] != again[0]
    assert still == moved


def test_the_ema_generator_has_no_gradient_and_follows():
    trained = training(batch_size=4)
    trained.step(*batch(4, 0))
    # The ramp-up forgets the random start at once: after the first iteration both are equal.
    for a, b in zip(trained.generator_ema.parameters(), trained.generator.parameters(), strict=True):
        assert torch.equal(a, b) and not a.requires_grad
    trained.step(*batch(4, 1))
    assert torch.equal(trained.generator_ema.mapping.w_avg, trained.generator.mapping.w_avg)
    assert not trained.generator_ema.training


def test_a_wrong_batch_is_named():
    with pytest.raises(ValueError, match="step got 3 images, not 4 of a batch"):
        training(batch_size=4).step(*batch(3, 0))


def test_labels_of_fakes_need_data():
    generator, discriminator = networks(c_dim=3)
    made = AdversarialTraining(
        generator=generator, discriminator=discriminator, batch_size=4, total_kimg=1, r1=R1Penalty(gamma=1)
    )
    with pytest.raises(ValueError, match="draws its labels from the data"):
        made.step(*batch(4, 0, 3))

    class Items:
        num_items = 5

        def labels(self, items):
            return torch.eye(3)[items % 3]

    made.start(Items())
    made.step(*batch(4, 0, 3))
    assert made.clock.images == 4


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (dict(r1_interval_iterations=0), "r1_interval_iterations must be at least 1, got 0"),
        (dict(pl_interval_iterations=-2), "pl_interval_iterations must be at least 1, got -2"),
        (dict(style_mixing_prob=1.5), "style_mixing_prob must be from 0 to 1, got 1.5"),
        (dict(total_kimg=0), "total_kimg must be a number above 0, got 0"),
        (dict(generator_lr=0), "generator_lr must be above 0, got 0"),
        (dict(discriminator_lr=float("inf")), "discriminator_lr must be above 0, got inf"),
        (dict(betas=(0.0, 1.0)), r"betas must be two numbers from 0 to below 1, got \[0.0, 1.0\]"),
        (dict(eps=0), "eps must be above 0, got 0"),
        (dict(ema_half_life_kimg=-1), r"ema_half_life_kimg must be 0 \(no average\) or more, got -1"),
        (dict(ema_ramp_up=0), "ema_ramp_up must be above 0, or null for none, got 0"),
        (dict(micro_batch=3), "micro_batch must divide batch_size 4, got 3"),
        (dict(micro_batch=0), "micro_batch must divide batch_size 4, got 0"),
    ],
)
def test_bad_settings_are_named(bad, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        training(batch_size=4, **bad)


@pytest.mark.parametrize(
    "c_dim",
    # The one that covers more is run every time.
    [pytest.param(0, id="unconditional", marks=pytest.mark.long), pytest.param(3, id="conditional")],
)
def test_micro_batches_change_nothing_in_twenty_iterations(c_dim):
    """float64, all four phases, style mixing, random noise, bgc at p 0.5: every parameter and buffer."""
    whole, eights, fours = (
        training(batch_size=N, micro_batch=part, c_dim=c_dim, dtype=torch.float64) for part in (N, 8, 4)
    )
    start = {name: value.clone() for name, value in whole.state_dict().items()}
    for i in range(20):
        for trained in (whole, eights, fours):
            trained.step(*batch(N, i, c_dim))
    moved = 0.0
    for parts in (eights, fours):
        assert whole.clock.images == parts.clock.images == 20 * N
        for (name, a), b in zip(whole.state_dict().items(), parts.state_dict().values(), strict=True):
            assert (a - b).abs().max() <= 1e-9, name
            moved = max(moved, (a - start[name]).abs().max().item() if a.is_floating_point() else 0.0)
    assert moved > 0.01, "nothing was trained: the comparison is empty"


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("micro_batch", [8, 4])
def test_first_gradients_in_float32(phase, micro_batch):
    """With seed 2: float32 rounding flips a unit near a kink for some seeds, and then the gradient jumps. Seed 0 does
    so in D-reg by 1e-3, though in float64, where nothing flips, the test above holds it to 1e-9."""
    whole = first_gradients(training(batch_size=N, seed=2), phase)
    parts = first_gradients(training(batch_size=N, micro_batch=micro_batch, seed=2), phase)
    assert whole.abs().max() > 0
    assert (whole - parts).abs().max() <= 1e-5 * whole.abs().max()


def test_the_mean_path_length_is_taken_over_the_whole_batch():
    whole, parts = training(batch_size=N), training(batch_size=N, micro_batch=4)
    for trained in (whole, parts):
        trained.step(*batch(N, 0))
    assert whole.path_length.mean_length > 0
    torch.testing.assert_close(
        whole.path_length.mean_length, parts.path_length.mean_length, rtol=1e-5, atol=0
    )
