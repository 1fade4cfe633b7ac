"""What an iteration does, phase by phase, on small real networks."""

import pytest
import torch

from stylegan.losses import PathLengthPenalty, R1Penalty
from stylegan.training import AdaController
from stylegan.training.gradients import FlatGradients
from tests.training.standalone import batch, module


def phases_of(trained, iterations, monkeypatch):
    """Which phases run in which iteration; nothing is computed."""
    ran = []
    for name in ("generator_main", "generator_regularize", "discriminator_main", "discriminator_regularize"):
        monkeypatch.setattr(trained, name, lambda i, *rest, name=name: ran.append((i, name)))
    for i in range(iterations):
        trained.training_step(batch(trained.batch_size, i), i)
    return ran


def test_order_and_laziness(monkeypatch):
    trained = module(batch_size=4, pl_interval_iterations=2, r1_interval_iterations=3)
    ran = phases_of(trained, 4, monkeypatch)
    every = ["generator_main", "discriminator_main"]
    expected = {
        0: ["generator_main", "generator_regularize", "discriminator_main", "discriminator_regularize"],
        1: every,
        2: ["generator_main", "generator_regularize", "discriminator_main"],
        3: ["generator_main", "discriminator_main", "discriminator_regularize"],
    }
    assert ran == [(i, name) for i, names in expected.items() for name in names]


def test_laziness_follows_the_clock_after_a_restart(monkeypatch):
    trained = module(batch_size=4, pl_interval_iterations=2, r1_interval_iterations=3)
    trained.images_seen.fill_(4 * 3)
    trained._images = None
    # Lightning counts its batches from 0 again; the clock does not.
    assert [i for i, _ in phases_of(trained, 1, monkeypatch)] == [3, 3, 3]


@pytest.mark.parametrize(
    "off",
    [
        dict(path_length=PathLengthPenalty(weight=0), r1=R1Penalty(gamma=0)),
        dict(path_length=None, r1=None),
    ],
)
def test_a_weight_of_zero_turns_a_regulariser_off(off, monkeypatch):
    ran = phases_of(module(batch_size=4, **off), 1, monkeypatch)
    assert [name for _, name in ran] == ["generator_main", "discriminator_main"]


@pytest.mark.parametrize("older", [False, True], ids=["of now", "without the mean"])
def test_a_weight_of_path_length_may_come_and_go(older):
    """What a checkpoint holds does not depend on it; older ones had no mean where the weight was 0."""
    off = dict(path_length=PathLengthPenalty(weight=0))
    for before, after in ((off, {}), ({}, off), ({}, dict(path_length=None))):
        first, then = module(batch_size=4, **before), module(batch_size=4, **after)
        first.path_length.mean_length.fill_(3)
        checkpoint = {"state_dict": first.state_dict()}
        first.on_save_checkpoint(checkpoint)
        if older and before:
            del checkpoint["state_dict"]["path_length.mean_length"]
        then.on_load_checkpoint(checkpoint)
        then.load_state_dict(checkpoint["state_dict"])
        if then.path_length is not None:
            assert then.path_length.mean_length == (0 if older and before else 3)


def test_each_phase_moves_its_own_player_only():
    trained = module(batch_size=4)
    reals = trained._like_weights(batch(4, 0)[0] / 127.5 - 1)
    steps = {
        "generator": [lambda: trained.generator_main(0), lambda: trained.generator_regularize(0)],
        "discriminator": [
            lambda: trained.discriminator_main(0, reals, None),
            lambda: trained.discriminator_regularize(0, reals, None),
        ],
    }
    for player, phases in steps.items():
        for phase in phases:
            before = {n: p.clone() for n, p in trained.named_parameters()}
            phase()
            moved = {n.split(".")[0] for n, p in trained.named_parameters() if not torch.equal(p, before[n])}
            assert moved == {player}


def test_a_parameter_the_loss_does_not_touch_is_stepped_with_gradient_zero():
    """Its count rises and its second moment decays, as in the reference; a gradient of None would skip it."""
    trained = module(batch_size=4, pl_interval_iterations=1)
    trained.generator_main(0)
    bias = trained.generator.synthesis.b16.torgb.bias
    adam = trained._own_optimizers[0]
    before = adam.state[bias]["exp_avg_sq"].clone()
    trained.generator_regularize(0)
    assert adam.state[bias]["step"].item() == 2
    torch.testing.assert_close(adam.state[bias]["exp_avg_sq"], before * 0.99**0.5)


def test_frozen_parameters_stay():
    trained = module(
        batch_size=4, freeze=("discriminator.b16.fromrgb.weight", "generator.synthesis.b4.const")
    )
    before = {name: value.clone() for name, value in trained.named_parameters()}
    trained.training_step(batch(4, 0), 0)
    still = {n for n, p in trained.named_parameters() if torch.equal(p, before[n]) and "_ema" not in n}
    assert still == {"discriminator.b16.fromrgb.weight", "generator.synthesis.b4.const"}


def test_settings_win_over_what_a_checkpoint_restored():
    trained = module(batch_size=4)
    adam = trained._own_optimizers[1]
    adam.param_groups[0].update(lr=7.0, betas=(0.5, 0.5), eps=1.0)
    trained.on_train_start()
    assert adam.param_groups[0]["lr"] == pytest.approx(0.0025 * 4 / 5)
    assert adam.param_groups[0]["betas"] == pytest.approx((0.0, 0.99 ** (4 / 5)))
    assert adam.param_groups[0]["eps"] == 1e-8


@pytest.mark.parametrize(("mode", "p"), [("fixed", 0.25), ("none", 0.0), ("adaptive", 0.75)])
def test_only_an_adaptive_p_is_taken_from_a_checkpoint(mode, p):
    trained = module(batch_size=4, ada=AdaController(mode=mode, p_init=0.25))
    trained.ada.p.fill_(0.75)
    trained.on_train_start()
    assert trained.ada.p.item() == p


def test_an_unknown_format_is_refused_by_name():
    with pytest.raises(ValueError, match="format_version 99 is not known here"):
        module(batch_size=4).on_load_checkpoint({"format_version": 99})


def test_broken_gradients_are_repaired_and_counted():
    weights = [torch.nn.Parameter(torch.zeros(2, 2)), torch.nn.Parameter(torch.zeros(3))]
    gradients = FlatGradients(weights)
    inf = float("inf")
    weights[0].grad += torch.tensor([[1.0, float("nan")], [inf, -2.0]])
    weights[1].grad += torch.tensor([-inf, 0.0, 5.0])
    assert gradients.repair().item() == 3
    assert weights[0].grad.tolist() == [[1.0, 0.0], [1e5, -2.0]]
    assert weights[1].grad.tolist() == [-1e5, 0.0, 5.0]
    gradients.zero()
    assert all((w.grad == 0).all() for w in weights)


def test_gradients_accumulate_in_the_flat_vector_also_after_set_to_none():
    weight = torch.nn.Parameter(torch.ones(3))
    gradients = FlatGradients([weight])
    weight.grad = None
    gradients.zero()
    (weight * 2).sum().backward()
    (weight * 3).sum().backward()
    assert gradients.vector.tolist() == [5.0, 5.0, 5.0]


def test_nonfinite_gradients_are_reported_by_phase():
    trained = module(batch_size=4)
    trained.generator.synthesis.b4.const.data[0, 0, 0] = float("nan")
    trained.generator_main(0)
    assert trained.stats.take()["Gradients/nonfinite/Gmain"].mean > 0
    assert all(
        p.isfinite().all() for n, p in trained.generator.named_parameters() if n != "synthesis.b4.const"
    )


def test_real_signs_of_both_discriminator_phases_reach_the_controller():
    trained = module(batch_size=4)
    reals = trained._like_weights(batch(4, 0)[0] / 127.5 - 1)
    trained.discriminator_main(0, reals, None)
    assert trained.ada.sign_count.item() == 4
    trained.discriminator_regularize(0, reals, None)
    assert trained.ada.sign_count.item() == 8
    trained.generator_main(1)
    assert trained.ada.sign_count.item() == 8


def test_the_pipe_works_at_the_controllers_p():
    trained = module(batch_size=4, p=0.25)
    assert trained.augment.p.item() == 0.25
    trained.training_step(batch(4, 0), 0)
    assert trained.augment.p.item() == 0.25


def test_the_pipe_is_told_p_where_it_moves_and_not_in_between():
    trained = module(batch_size=4, ada=AdaController(p_init=0.5, target=0.123, interval_iterations=2))
    seen = []
    for iteration in range(4):
        trained.training_step(batch(4, iteration), iteration)
        assert trained.augment.p == trained.ada.p
        seen.append((trained.augment.p.item(), trained.augment.p._version))
    first, moved, still, again = seen
    assert first[0] == 0.5 != moved[0] != again[0]
    assert still == moved


def test_the_average_has_no_gradient_and_follows():
    trained = module(batch_size=4)
    trained.training_step(batch(4, 0), 0)
    # The ramp-up forgets the random start at once: after the first iteration both are equal.
    for a, b in zip(trained.generator_ema.parameters(), trained.generator.parameters(), strict=True):
        assert torch.equal(a, b) and not a.requires_grad
    trained.training_step(batch(4, 1), 1)
    assert torch.equal(trained.generator_ema.mapping.w_avg, trained.generator.mapping.w_avg)
    assert not trained.generator_ema.training


def test_training_ends_at_the_total():
    trained = module(batch_size=4, total_kimg=0.006)
    trained.trainer.should_stop = False
    trained.training_step(batch(4, 0), 0)
    assert not trained.trainer.should_stop
    trained.training_step(batch(4, 1), 1)
    assert trained.trainer.should_stop and trained.is_last


def test_a_wrong_batch_is_named():
    trained = module(batch_size=4)
    with pytest.raises(ValueError, match="the data gave 3 images, batch_size is 4"):
        trained.training_step(batch(3, 0), 0)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (dict(r1_interval_iterations=0), "r1_interval_iterations"),
        (dict(style_mixing_prob=1.5), "style_mixing_prob"),
        (dict(total_kimg=0), "total_kimg"),
        (dict(generator_lr=0), "optim.generator_lr must be above 0, got 0"),
        (dict(betas=(0.0, 1.0)), "optim.betas"),
        (dict(eps=0), "optim.eps"),
        (dict(ema_half_life_kimg=-1), "ema.half_life_kimg"),
        (dict(ema_ramp_up=0), "ema.ramp_up"),
    ],
)
def test_bad_settings_are_named(bad, message):
    with pytest.raises(ValueError, match=message):
        module(batch_size=4, **bad)
