"""Compiled and recomputed main phases train as plain ones do."""

import pytest
import torch

from stylegan.training import players
from stylegan.training.compiled import CompiledPlayers
from tests.training.standalone import batch, module

CPU = torch.device("cpu")


def trained(iterations=4, **options):
    found = module(batch_size=8, c_dim=3, dtype=torch.float64, **options)
    found.settle_precision(CPU)
    for i in range(iterations):
        found.training_step(batch(8, i, 3), i)
    return found.state_dict()


@pytest.mark.long
def test_compiled_phases_train_as_plain_ones(monkeypatch, capsys):
    """The graphs as dynamo and autograd cut them, without a C++ compiler; all four phases, float64."""
    compile = torch.compile
    seen = []

    def counting(function, **options):
        seen.append(function)
        return compile(function, backend="aot_eager", fullgraph=True, **options)

    monkeypatch.setattr(torch, "compile", counting)
    for (name, plain), compiled in zip(trained().items(), trained(compile=True).values(), strict=True):
        torch.testing.assert_close(compiled, plain, rtol=0, atol=1e-9, msg=name)
    assert len(seen) == 2
    assert capsys.readouterr().out.startswith("compiled    in ")


def test_a_compiler_that_fails_is_a_note(monkeypatch, capsys):
    def failing(self, *_):
        raise RuntimeError("no working compiler\nand a long paragraph")

    monkeypatch.setattr(CompiledPlayers, "try_out", failing)
    found = module(batch_size=8, compile=True)
    assert (
        capsys.readouterr().out == "note        compile=true failed, going on without: no working compiler\n"
    )
    found.training_step(batch(8, 0), 0)


@pytest.mark.parametrize("word", [False, "auto"])
def test_nothing_is_compiled_unless_asked(word, monkeypatch, capsys):
    calls = []
    monkeypatch.setattr(players, "CompiledPlayers", lambda *_: calls.append(_))
    module(batch_size=8, compile=word)
    assert calls == [] and capsys.readouterr().out == ""


def test_another_word_is_refused():
    with pytest.raises(ValueError, match="compile=maybe: it must be auto, true or false"):
        module(batch_size=8, compile="maybe")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_activations_computed_again_change_no_bit(precision):
    def state(on):
        found = module(batch_size=8, precision=precision, activation_checkpointing=on)
        found.settle_precision(CPU)
        for i in range(4):
            found.training_step(batch(8, i), i)
        return found.state_dict()

    for (name, plain), again in zip(state(False).items(), state(True).values(), strict=True):
        assert torch.equal(plain, again), name


def test_only_main_phases_compute_activations_again(monkeypatch):
    found = module(batch_size=8, activation_checkpointing=True)
    calls = []
    real = torch.utils.checkpoint.checkpoint
    monkeypatch.setattr(
        "stylegan.networks.precision.checkpoint",
        lambda block, *a, **k: calls.append(found._main_phase) or real(block, *a, **k),
    )
    found.training_step(batch(8, 0), 0)
    assert calls and all(calls)
