"""Freezing: what is named, that nothing of it moves, what a thawed parameter begins with, and an exact resume."""

import re

import pytest
import torch
from torch import nn

from stylegan.networks import Discriminator
from stylegan.training import AdaController
from stylegan.training.freezing import Freezing
from tests.training.resuming import assert_same_training, continued
from tests.training.trainings import batch, networks, training

GENERATOR, DISCRIMINATOR = networks()


def frozen(*freeze, images=0, discriminator=DISCRIMINATOR):
    return Freezing(freeze, generator=GENERATOR, discriminator=discriminator).names_at(images)


def names(pattern):
    return {
        full
        for network, module in (("generator", GENERATOR), ("discriminator", DISCRIMINATOR))
        for full in (f"{network}.{name}" for name, _ in module.named_parameters())
        if re.search(pattern, full)
    }


@pytest.mark.parametrize(
    ("entry", "pattern"),
    [
        ("mapping", r"^generator\.mapping"),
        ("synthesis", r"^generator\.synthesis"),
        ("generator", "^generator"),
        ("discriminator", "^discriminator"),
        (r"\.b8\.", r"\.b8\."),
        ({"names": "torgb|fromrgb"}, "torgb|fromrgb"),
        (r"conv\d\.bias$", r"conv\d\.bias$"),
    ],
)
def test_words_and_expressions_name_parameters(entry, pattern):
    assert frozen(entry) == names(pattern) != set()


@pytest.mark.parametrize("architecture", ["resnet", "skip", "orig"])
@pytest.mark.parametrize("layers", [1, 3, 5])
def test_layers_of_the_discriminator_are_counted_as_by_freeze_layers(layers, architecture):
    """Oracle: the parameters that `freeze_layers` takes away."""
    options = dict(resolution=16, channel_base=128, channel_max=8, architecture=architecture)
    whole, cut = Discriminator(**options), Discriminator(freeze_layers=layers, **options)
    ours = frozen({"discriminator_layers": layers}, discriminator=whole)
    kept = {name for name, _ in cut.named_parameters()}
    assert ours == {f"discriminator.{name}" for name, _ in whole.named_parameters() if name not in kept}


def test_one_entry_needs_no_list():
    for entry in ("mapping", {"names": "mapping"}):
        one = Freezing(entry, generator=GENERATOR, discriminator=DISCRIMINATOR)
        assert one.names_at(0) == frozen("mapping")


def test_a_stretch_begins_and_ends_at_its_images():
    entry = {"names": "mapping", "from_kimg": 1, "until_kimg": 2.5}
    states = [bool(frozen(entry, images=images)) for images in (0, 999, 1000, 2499, 2500, 10**9)]
    assert states == [False, False, True, True, False, False]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("maping", "'maping' is found in no parameter's name; did you mean mapping?"),
        (
            r"generator\.synthesis\.b16\.conv2",
            "found in no parameter's name; did you mean generator.synthesis.b16.conv",
        ),
        ("synthesis.b61", "did you mean synthesis.b16?"),
        (
            "xyz",
            "'xyz' is found in no parameter's name; there are mapping, synthesis, generator, discriminator, and",
        ),
        ("(", "'(' is no regular expression (missing ), unterminated subpattern at position 0)"),
        ("", "names must be a word or a regular expression, got ''"),
        ({"names": 3}, "names must be a word or a regular expression, got 3"),
        ({"name": "mapping"}, "there is no name; did you mean names?"),
        (
            {},
            "each entry has either names or discriminator_layers, as in {names: mapping, until_kimg: 20}, got {}",
        ),
        (
            {"names": "mapping", "discriminator_layers": 2},
            "each entry has either names or discriminator_layers",
        ),
        ({"names": "mapping", "until_kimg": 0}, "until_kimg must be above from_kimg, 0, got 0"),
        (
            {"names": "mapping", "from_kimg": 5, "until_kimg": 5},
            "until_kimg must be above from_kimg, 5, got 5",
        ),
        (
            {"names": "mapping", "from_kimg": -1},
            "from_kimg must be a number of at least 0, or left out, got -1",
        ),
        (
            {"names": "mapping", "until_kimg": True},
            "until_kimg must be a number of at least 0, or left out, got True",
        ),
        (
            {"names": "mapping", "until_kimg": "20"},
            "until_kimg must be a number of at least 0, or left out, got 20",
        ),
        (
            {"discriminator_layers": 8},
            "discriminator_layers must be from 1 to 7, the layers above the lowest",
        ),
        ({"discriminator_layers": 0}, "discriminator_layers must be from 1 to 7"),
    ],
)
def test_a_mistake_is_one_line(bad, message):
    with pytest.raises(ValueError) as refused:
        frozen(bad)
    assert str(refused.value).startswith("freeze: ") and message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_layers_of_another_discriminator_are_not_counted():
    with pytest.raises(ValueError, match="counts layers of our discriminator, not of Linear; give names"):
        frozen({"discriminator_layers": 1}, discriminator=nn.Linear(2, 2))


def state_of(trained, name):
    """A parameter, and what its Adam holds for it."""
    network, _, rest = name.partition(".")
    parameter = trained.get_submodule(network).get_parameter(rest)
    state = trained.gradients.optimizers[network].state.get(parameter, {})
    return parameter.detach().clone(), {key: value.clone() for key, value in state.items()}


FREEZE = [
    {"names": "mapping", "until_kimg": 0.008},
    {"names": r"generator\.synthesis\.b8\.", "from_kimg": 0.004, "until_kimg": 0.012},
    {"discriminator_layers": 3, "until_kimg": 0.008},
    r"discriminator\.b4\.out",
]


def test_nothing_of_a_frozen_parameter_moves_and_all_else_does():
    trained = training(batch_size=4, freeze=FREEZE)
    both = names("")
    trained.start()
    for i in range(4):
        before = {name: state_of(trained, name) for name in both}
        now = trained.freezing.names_at(trained.clock.images)
        assert now and now != both
        trained.step(*batch(4, i))
        for name in both:
            (weight, adam), (then, adam_then) = before[name], state_of(trained, name)
            if name in now:
                assert torch.equal(weight, then) and adam.keys() == adam_then.keys(), name
                assert all(torch.equal(adam[key], adam_then[key]) for key in adam), name
            else:
                assert adam_then["step"] > adam.get("step", 0), name


def test_a_thawed_parameter_begins_as_at_the_start_or_goes_on_with_its_moments():
    trained = training(batch_size=4, freeze=FREEZE, path_length=None)
    steps = []
    for i in range(4):
        trained.step(*batch(4, i))
        by_name = [
            state_of(trained, f"generator.{name}")[1]
            for name in ("mapping.fc0.weight", "synthesis.b8.conv0.weight")
        ]
        steps.append([state.get("step", torch.zeros([])).item() for state in by_name])
    # The mapping network learns from the third iteration on, b8 does not in the second and third.
    assert steps == [[0, 1], [0, 1], [1, 1], [2, 2]]


def test_other_parameters_learn_as_if_nothing_were_frozen():
    """Oracle: a run in which nothing is frozen; in the first phase the gradients do not depend on what moves."""
    free, half = training(batch_size=4), training(batch_size=4, freeze=["mapping", r"synthesis\.b4\."])
    for trained in (free, half):
        trained.start()
        trained.run_phase("Gmain", *batch(4, 0))
    learns = names("^generator") - half.freezing.names_at(0)
    assert learns
    for name in learns:
        assert torch.equal(state_of(free, name)[0], state_of(half, name)[0]), name


@pytest.mark.parametrize("micro_batch", [4, 2])
def test_path_length_works_where_the_mapping_network_is_frozen(micro_batch):
    """Oracle: the gradients of the layers that learn are those of a run in which nothing is frozen."""
    free = training(batch_size=8, micro_batch=micro_batch, dtype=torch.float64)
    half = training(batch_size=8, micro_batch=micro_batch, dtype=torch.float64, freeze="mapping")
    for trained in (free, half):
        trained.start()
        trained.run_phase("Greg", *batch(8, 0))
    moved = 0
    for name in names(r"^generator\.synthesis"):
        ours, theirs = (
            trained.get_submodule("generator").get_parameter(name[10:]).grad for trained in (free, half)
        )
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)
        moved += bool(theirs.abs().max() > 0)
    assert moved > 10


def test_a_network_that_is_frozen_as_a_whole_runs_no_phase_and_leaves_p(monkeypatch):
    trained = training(
        batch_size=4,
        ada=AdaController(p_init=0.5, interval_iterations=1, kimg=1),
        freeze=[{"names": "generator", "until_kimg": 0.004}, {"names": "discriminator", "from_kimg": 0.004}],
    )
    ran, run = [], trained._run
    monkeypatch.setattr(trained, "_run", lambda phase, *rest: (ran.append(phase.name), run(phase, *rest)))
    ps = []
    for i in range(3):
        trained.step(*batch(4, i))
        ps.append(trained.ada.p.item())
    assert ran == ["Dmain", "Dreg", "Gmain", "Gmain", "Greg"]
    assert 0.5 != ps[0] == ps[1] == ps[2]


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_run_that_is_resumed_while_some_are_frozen_equals_one_that_is_not(stop):
    def make():
        return training(batch_size=4, freeze=FREEZE, r1_interval_iterations=2)

    whole = make()
    for i in range(5):
        whole.step(*batch(4, i))
    assert_same_training(whole, continued(make, stop=stop, iterations=5))


def test_a_resumed_run_may_freeze_what_has_learned():
    def make(freeze=()):
        return training(batch_size=4, freeze=freeze)

    then = continued(make, stop=1, iterations=2, freeze=["mapping"])
    weight, adam = state_of(then, "generator.mapping.fc0.weight")
    once = make()
    once.step(*batch(4, 0))
    before, adam_before = state_of(once, "generator.mapping.fc0.weight")
    assert torch.equal(weight, before)
    assert all(torch.equal(adam[key], adam_before[key]) for key in adam_before)


def test_parts_of_a_batch_freeze_as_the_whole_does():
    whole, parts = (
        training(batch_size=8, micro_batch=micro, dtype=torch.float64, freeze=FREEZE) for micro in (8, 4)
    )
    for i in range(3):
        whole.step(*batch(8, i))
        parts.step(*batch(8, i))
    for (name, ours), theirs in zip(whole.named_parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(
            ours, theirs, rtol=1e-7, atol=1e-9, msg=lambda m, name=name: f"{name}: {m}"
        )


def test_lines_tell_what_is_frozen_and_when(capsys):
    trained = training(batch_size=4, freeze=[{"names": "mapping", "until_kimg": 0.004}, r"b4\.out"])
    assert list(trained.freezing.lines_at(8)) == [
        "frozen      mapping until kimg 0.004 (4 tensors, 544 parameters); at kimg 0.008 they learn",
        r"frozen      b4\.out all the time (2 tensors, 9 parameters)",
    ]
    assert trained.freezing.size == 0
    trained.step(*batch(4, 0))
    assert trained.freezing.size == 553 and capsys.readouterr().out == ""
    trained.step(*batch(4, 1))
    assert trained.freezing.size == 9
    assert "thawed      mapping at kimg 0.004" in capsys.readouterr().out
