"""Which phase computes in what, and values that make no sense."""

import pytest
import torch

from stylegan.networks import precision as networks_precision
from stylegan.networks.precision import ResolutionBlock
from stylegan.training.precision import TrainingPrecision
from tests.training.trainings import batch, networks, training

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def dtypes(network):
    return {m.compute_dtype for m in network.modules() if isinstance(m, ResolutionBlock)}


@pytest.mark.parametrize("regulariser, expected", [("auto", torch.bfloat16), ("fp32", None)])
def test_each_phase_computes_in_its_precision(regulariser, expected, monkeypatch):
    trained = training(batch_size=4, precision="bf16", regulariser_precision=regulariser)
    seen = {}
    for phase in trained.phases:
        losses = phase.loss.losses

        def looking(*args, name=phase.name, losses=losses):
            seen[name] = dtypes(trained.generator) | dtypes(trained.discriminator)
            return losses(*args)

        monkeypatch.setattr(phase.loss, "losses", looking)
    trained.step(*batch(4, 0))
    assert seen == {
        "Gmain": {torch.bfloat16},
        "Greg": {expected},
        "Dmain": {torch.bfloat16},
        "Dreg": {expected},
    }
    assert dtypes(trained.generator_ema) == {torch.bfloat16}
    assert all(value.dtype != torch.bfloat16 for value in trained.state_dict().values())


def test_bf16_trains_as_fp32_does_at_first():
    """After ten iterations the weights are nearer to those of float32 than those of another seed are."""

    def weights(**options):
        trained = training(batch_size=8, **options)
        for i in range(10):
            trained.step(*batch(8, i))
        return torch.cat([p.detach().flatten() for p in trained.generator.parameters()])

    exact, low, other = weights(), weights(precision="bf16"), weights(seed=1)
    assert 0 < (low - exact).norm() < 0.5 * (other - exact).norm()


@pytest.mark.parametrize(
    "native, device, expected",
    [(True, CPU, "bf16"), (False, CPU, "fp32"), (True, GPU, "bf16"), (False, GPU, "fp16")],
)
def test_auto_takes_what_the_hardware_has(native, device, expected, monkeypatch):
    monkeypatch.setattr(networks_precision, "has_bfloat16", lambda device: native)
    assert networks_precision.precision_on(device, "auto") == expected


def test_auto_takes_float32_where_float16_would_run_over(monkeypatch):
    monkeypatch.setattr(networks_precision, "has_bfloat16", lambda device: False)
    generator, discriminator = networks()
    generator.options["conv_clamp"] = None
    both = dict(generator=generator, discriminator=discriminator, generator_ema=generator)
    precision = TrainingPrecision(precision="auto")
    precision.settle(GPU, **both)
    assert precision.chosen == "fp32"
    with pytest.raises(ValueError, match="generator.conv_clamp is null"):
        TrainingPrecision(precision="fp16").settle(GPU, **both)


@pytest.mark.parametrize(
    "wrong, message",
    [
        (dict(precision="8"), "precision must be auto, fp32, bf16, fp16, got 8"),
        *(
            (
                dict(precision=word),
                f"precision must be auto, fp32, bf16, fp16, got {word}; did you mean precision={name}[?]",
            )
            for word, name in {"half": "fp16", "Float32": "fp32", "bfloat16": "bf16"}.items()
        ),
        (dict(regulariser_precision="bf16"), "regulariser_precision must be auto or fp32, got bf16"),
        (dict(num_half_res=-1), "num_half_res must be at least 0, or null, got -1"),
    ],
)
def test_nonsense_is_refused(wrong, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        training(batch_size=4, **wrong)


def test_float16_is_refused_without_a_gpu():
    with pytest.raises(ValueError, match="precision=fp16 needs a GPU"):
        training(batch_size=4, precision="fp16").start()


def test_a_device_whose_results_are_unchecked_is_reported():
    trained = training(batch_size=4)
    trained.start()
    device, note, _ = trained.precision.start_lines(torch.device("mps"))
    assert device == "device      mps" and "trainer=cpu is the safe choice" in note
