"""Forward passes: fakes and reals at once, compiled graphs, and activations computed again."""

import pytest
import torch

from stylegan.training import networks
from stylegan.training.networks import CompiledNetworks
from tests.training.trainings import batch, started, training


@pytest.mark.parametrize("c_dim", [0, 3])
@pytest.mark.parametrize("group", [1, 4])
def test_logits_are_those_of_two_passes(c_dim, group):
    trained = training(batch_size=8, c_dim=c_dim, dtype=torch.float64)
    trained.discriminator.b4.mbstd_group = group
    torch.manual_seed(1)
    size = trained.discriminator.size
    fakes, reals = (torch.randn(8, 3, *size, dtype=torch.float64) for _ in range(2))
    labels = torch.eye(3, dtype=torch.float64)[torch.arange(8) % 3] if c_dim else None
    draws = [trained.augment.draw(8, (3, *size), torch.Generator().manual_seed(i)) for i in range(2)]
    trained.augment.p = 0.5
    pairs = [(fakes, labels, draws[0]), (reals, labels, draws[1])]
    for joint, own in zip(
        trained.networks.discriminate_both(*pairs),
        (trained.networks.discriminate(*p) for p in pairs),
        strict=True,
    ):
        torch.testing.assert_close(joint, own, rtol=0, atol=1e-10)


def test_what_would_be_compared_with_each_other_is_discriminated_apart(monkeypatch):
    trained = training(batch_size=8)
    calls = []
    monkeypatch.setattr(
        trained.networks, "discriminate", lambda images, *_: calls.append(len(images)) or images
    )
    x = torch.zeros(6, 3, 8, 8)
    for size, n in ((None, 6), (4, 6)):
        monkeypatch.setattr(type(trained.discriminator), "group_size", size)
        trained.networks.discriminate_both((x[:n], None, None), (x[:n], None, None))
    assert calls == [6] * 4


def test_a_discriminator_without_labels_takes_fakes_that_have_some():
    trained = training(batch_size=8, dtype=torch.float64)
    x = torch.randn(8, 3, *trained.discriminator.size, dtype=torch.float64)
    labelled = (x, torch.eye(8, dtype=torch.float64), None)
    fakes, reals = trained.networks.discriminate_both(labelled, (x, None, None))
    torch.testing.assert_close(fakes, trained.networks.discriminate(*labelled), rtol=0, atol=1e-10)
    torch.testing.assert_close(reals, fakes, rtol=0, atol=1e-10)


def trained(iterations=4, **options):
    found = training(batch_size=8, c_dim=3, dtype=torch.float64, **options)
    for i in range(iterations):
        found.step(*batch(8, i, 3))
    return found.state_dict()


# At 16 of 32 images the first two thaw and the third freezes; a network is frozen as a whole at the start.
FREEZE = [
    {"names": "mapping", "until_kimg": 0.016},
    {"names": "discriminator", "until_kimg": 0.016},
    {"names": "torgb", "from_kimg": 0.016},
]


@pytest.mark.long
@pytest.mark.parametrize("freeze", [(), FREEZE], ids=["all learn", "some are frozen"])
def test_compiled_phases_train_as_plain_ones(monkeypatch, capsys, freeze):
    """The graphs as dynamo and autograd cut them, without a C++ compiler; all four phases, float64."""
    compile = torch.compile
    seen = []

    def counting(function, **options):
        seen.append(function)
        return compile(function, backend="aot_eager", fullgraph=True, **options)

    monkeypatch.setattr(torch, "compile", counting)
    plainly = trained(freeze=freeze)
    capsys.readouterr()
    for (name, plain), compiled in zip(
        plainly.items(), trained(compile=True, freeze=freeze).values(), strict=True
    ):
        torch.testing.assert_close(compiled, plain, rtol=0, atol=1e-9, msg=name)
    assert len(seen) == 2
    assert capsys.readouterr().out.startswith("compiled    in ")


@pytest.mark.long
def test_nothing_is_compiled_once_training_has_begun(monkeypatch, capfd):
    """Whatever is drawn, mixed or augmented; and as often as a run begins in one process."""
    compile = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda function, **options: compile(function, backend="eager", **options)
    )
    for _ in range(2):
        found = started(batch_size=4, c_dim=3, compile=True)
        with torch.compiler.set_stance("fail_on_recompile"):
            for i in range(5):
                found.augment.p = i % 3 / 2
                found.step(*batch(4, i, 3))
    said = capfd.readouterr()
    assert said.out.count("\n") == said.out.count("compiled    in ") == 2 and said.err == ""


def test_a_compiler_that_fails_is_a_note(monkeypatch, capsys):
    def failing(self, *_):
        raise RuntimeError("no working compiler\nand a long paragraph")

    monkeypatch.setattr(CompiledNetworks, "try_out", failing)
    found = started(batch_size=8, compile=True)
    assert (
        capsys.readouterr().out
        == "note        compile=true failed, continuing without: no working compiler\n"
    )
    found.step(*batch(8, 0))


@pytest.mark.parametrize("word", [False, "auto"])
def test_nothing_is_compiled_unless_asked(word, monkeypatch, capsys):
    calls = []
    monkeypatch.setattr(networks, "CompiledNetworks", lambda *_: calls.append(_))
    started(batch_size=8, compile=word)
    assert calls == [] and capsys.readouterr().out == ""


def test_another_word_is_refused():
    with pytest.raises(ValueError, match="compile must be auto, true or false, got maybe"):
        training(batch_size=8, compile="maybe")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_activations_computed_again_change_no_bit(precision):
    def state(on):
        found = training(batch_size=8, precision=precision, activation_checkpointing=on)
        for i in range(4):
            found.step(*batch(8, i))
        return found.state_dict()

    for (name, plain), again in zip(state(False).items(), state(True).values(), strict=True):
        assert torch.equal(plain, again), name


def test_only_main_phases_compute_activations_again(monkeypatch):
    found = training(batch_size=8, activation_checkpointing=True)
    calls = []
    real = torch.utils.checkpoint.checkpoint
    monkeypatch.setattr(
        "stylegan.networks.precision.checkpoint",
        lambda block, *a, **k: calls.append(not found.networks._second_order) or real(block, *a, **k),
    )
    found.step(*batch(8, 0))
    assert calls and all(calls)
