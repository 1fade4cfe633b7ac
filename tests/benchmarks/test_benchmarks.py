"""The benchmark counts right, refuses nonsense, and writes what is documented. How fast anything is, is no test."""

import json
import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.__main__ import main
from benchmarks.attainable import OPERATIONS, large_convolution
from benchmarks.settings import NAMED, parse_setting
from benchmarks.timing import interleaved
from benchmarks.training import Training, operations

SMALL = "resolution=8,preset=tiny,batch=4"
CPU = torch.device("cpu")


def test_a_convolution_is_counted_by_hand_and_thrice_with_its_gradients():
    assert operations(large_convolution(CPU, torch.float32)) == OPERATIONS == 2 * 9 * 256 * 256 * 64 * 64 * 8
    x, w = torch.randn(2, 3, 8, 8, requires_grad=True), torch.randn(5, 3, 3, 3, requires_grad=True)
    forward = 2 * 9 * 3 * 5 * 8 * 8 * 2

    def with_gradients():
        torch.nn.functional.conv2d(x, w, padding=1).sum().backward()

    assert operations(with_gradients) == 3 * forward


def test_the_penalties_are_counted_with_their_second_derivatives():
    """R1 is more than the discriminator forward and backward, and an iteration has all four phases."""
    training = Training(parse_setting(SMALL), CPU)
    counted = {name: operations(work) for name, work in training.works.items()}
    assert list(counted) == ["Gmain", "Greg", "Dmain", "Dreg", "generate"]
    reals = training.reals.clone().requires_grad_()

    def discriminator():
        training.module.discriminator(reals).sum().backward()

    assert counted["Dreg"] > 1.5 * operations(discriminator)
    assert counted["Gmain"] > 3 * counted["generate"] > 0


def test_a_phase_trains_its_own_network():
    training = Training(parse_setting(SMALL), CPU)
    module = training.module
    for name, network, other in (
        ("Gmain", module.generator, module.discriminator),
        ("Dreg", module.discriminator, module.generator),
    ):
        before = [p.detach().clone() for p in network.parameters()]
        rest = [p.detach().clone() for p in other.parameters()]
        training.phase(name)
        assert any(not torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))
        assert all(torch.equal(a, b) for a, b in zip(rest, other.parameters(), strict=True))


def test_works_are_timed_in_turn_and_the_median_taken():
    # Two calls before anything counts, then one a round: longer than what is repeated within a measurement.
    calls, pauses = [], iter([0.2, 0.2, 0.2, 0.5, 0.2])

    def varying():
        calls.append("varying")
        time.sleep(next(pauses))

    def steady():
        calls.append("steady")
        time.sleep(0.15)

    works = {"varying": varying, "steady": steady}
    seconds = interleaved(works, CPU, rounds=3)
    # Each round begins with the next one.
    turns = ["varying", "steady"] + ["steady", "varying"] + ["varying", "steady"]
    assert calls == ["varying"] * 2 + ["steady"] * 2 + turns
    assert 0.2 <= seconds["varying"] < 0.45 and 0.15 <= seconds["steady"] < 0.45


@given(st.text(max_size=30))
def test_any_text_is_a_setting_or_a_line_that_says_what_there_is(text):
    try:
        setting = parse_setting(text)
    except ValueError as error:
        assert str(error).startswith(f"--setting {text}") and "\n" not in str(error).replace(text, "")
    else:
        assert setting is NAMED.get(text) or setting.batch > 0


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("C", "C is neither one of A, B"),
        ("resolution=32,preset=tiny", "batch must be given, too"),
        ("resolution=0,preset=tiny,batch=4", "resolution must be a whole number above 0, got 0"),
        ("resolution=8,preset=tiny,batch=4,precision=int8", "precision must be one of auto, fp32"),
        ("A,compile=maybe", "compile must be true or false, got maybe"),
        ("A,micro_batch=0", "micro_batch must be a whole number above 0, got 0"),
        ("B,batch=8", "batch=8 is neither one of A, B"),
        ("resolution=50,preset=tiny,batch=4", "no network draws 50x50"),
        ("resolution=8,preset=huge,batch=4", "preset=huge: there is no such file"),
    ],
)
def test_a_mistake_is_one_line(text, word, capsys):
    assert main(["--setting", text, "--device", "cpu"]) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("measuring")]
    assert len(error) == 1 and word in error[0]


@pytest.mark.long
def test_figures_of_one_setting_and_of_several(tmp_path, capsys):
    one, several = tmp_path / "one.json", tmp_path / "several.json"
    words = ["--rounds", "1", "--device", "cpu", "--setting", SMALL]
    assert main([*words, "--json", str(one), "--beside"]) == 0
    result = json.loads(one.read_text())
    numbers = ("train_images_per_s", "generate_images_per_s", "attainable_gflops", "fraction_of_attainable")
    assert all(isinstance(result[name], float) and result[name] > 0 for name in numbers)
    times, shares = result["phase_ms"], {"Gmain": 1, "Greg": 1 / 4, "Dmain": 1, "Dreg": 1 / 16}
    iteration_ms = sum(share * times[name] for name, share in shares.items())
    assert result["train_images_per_s"] == pytest.approx(4 / iteration_ms * 1000)
    operations = sum(share * result["phase_gflop"][name] for name, share in shares.items())
    ideal_ms = operations / result["attainable_gflops"] * 1000
    assert result["fraction_of_attainable"] == pytest.approx(ideal_ms / iteration_ms)
    for name in ("first_step_sec", "checkpoint_sec", "grid_sec"):
        assert result[name] > 0
    # On any machine: to draw a flower takes many times as long as to copy one.
    assert result["loading_cached_images_per_s"] > 3 * result["loading_images_per_s"] > 0
    assert "first step after" in capsys.readouterr().out
    assert main([*words, "--setting", SMALL, "--json", str(several)]) == 0
    assert [part["setting"] for part in json.loads(several.read_text())["settings"]] == [SMALL, SMALL]


def test_words_after_a_setting_reach_the_training():
    setting = parse_setting("B,precision=fp32,compile=false,activation_checkpointing=true")
    assert (setting.resolution, setting.preset, setting.batch, setting.precision) == (32, "tiny", 32, "fp32")
    module = Training(
        parse_setting(
            "resolution=8,preset=tiny,batch=8,micro_batch=4,activation_checkpointing=true,tf32=true"
        ),
        CPU,
    ).module
    assert (module.batch_size, module.micro_batch) == (8, 4) and module.precision.tf32
    networks = module.networks
    assert networks.activation_checkpointing and not networks.wants_compiled
    assert setting.words[-2:] == ["compile=false", "activation_checkpointing=true"]
