"""Which phase computes in what, what a checkpoint says of it, and values that make no sense."""

import pytest
import torch

from stylegan.networks import precision as networks_precision
from stylegan.networks.precision import ResolutionBlock
from tests.training.standalone import batch, module

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def dtypes(network):
    return {m.compute_dtype for m in network.modules() if isinstance(m, ResolutionBlock)}


@pytest.mark.parametrize("regulariser, expected", [("auto", torch.bfloat16), ("fp32", None)])
def test_each_phase_computes_in_its_precision(regulariser, expected, monkeypatch):
    trained = module(batch_size=4, precision="bf16", regulariser_precision=regulariser)
    trained.settle_precision(CPU)
    seen = {}
    step = trained._steps.step

    def looking(player, optimizer, report):
        seen.setdefault(
            report.args[0].rsplit("/")[-1], dtypes(trained.generator) | dtypes(trained.discriminator)
        )
        return step(player, optimizer, report)

    monkeypatch.setattr(trained._steps, "step", looking)
    trained.training_step(batch(4, 0), 0)
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
        trained = module(batch_size=8, **options)
        trained.settle_precision(CPU)
        for i in range(10):
            trained.training_step(batch(8, i), i)
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
    trained = module(batch_size=4, precision="auto")
    trained.generator.options["conv_clamp"] = None
    trained.settle_precision(GPU)
    assert trained.precision == "fp32"
    trained.set_precision("fp16", "auto", None, False)
    with pytest.raises(ValueError, match="generator.conv_clamp is null"):
        trained.settle_precision(GPU)


@pytest.mark.parametrize(
    "wrong, message",
    [
        (dict(precision="half"), "precision=half: it must be auto, fp32, bf16, fp16"),
        (dict(regulariser_precision="bf16"), "regulariser_precision=bf16"),
        (dict(num_half_res=-1), "num_half_res must be at least 0"),
    ],
)
def test_nonsense_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        module(batch_size=4, **wrong)


def test_float16_is_refused_without_a_gpu():
    with pytest.raises(ValueError, match="precision=fp16 needs a GPU"):
        module(batch_size=4, precision="fp16").settle_precision(CPU)


def test_a_run_says_when_its_precision_is_another():
    first = module(batch_size=4, precision="bf16")
    first.settle_precision(CPU)
    checkpoint = {"state_dict": {}}
    first.on_save_checkpoint(checkpoint)
    assert checkpoint["precision"] == "bf16"
    second = module(batch_size=4)
    second.on_load_checkpoint(checkpoint)
    second.settle_precision(CPU)
    device, *lines = second.start_lines()
    assert device == f"device      CPU, {torch.get_num_threads()} threads"
    assert lines[0] == "precision   fp32" and "precision=bf16 keeps them" in lines[1]
    first.on_load_checkpoint(checkpoint)
    assert list(first.start_lines())[1:] == ["precision   bf16"]


def test_a_device_that_nobody_has_checked_is_said_to_be_one():
    trained = module(batch_size=4)
    trained.settle_precision(CPU)
    trained._device = torch.device("mps")
    device, note, _ = trained.start_lines()
    assert device == "device      mps" and "trainer=cpu is sure" in note
