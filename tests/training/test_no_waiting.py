"""On a GPU the host runs ahead of the device and does not wait for it. Held on any machine, by a pretended GPU."""

import sys
from contextlib import nullcontext

import pytest
import torch

from stylegan.augment import AugmentPipe
from stylegan.ops import downsample2d, setup_filter, upsample2d
from stylegan.training import AdaController, draws
from stylegan.training.gradients import LearningSteps
from tests.training.pretended_gpu import GPU, OnGpu, moved_there, pretending
from tests.training.trainings import KINDS, batch, training


@pytest.fixture
def on_gpu(monkeypatch):
    """Makes a module on the pretended GPU, which has no random numbers and no clock of its own."""
    keyed, noise = draws.keyed_generator, draws.KeyedDraws._image_noise
    monkeypatch.setattr(draws, "keyed_generator", lambda *parts, device="cpu": keyed(*parts))

    def drawn_on_cpu(self, shape, like, *purpose):
        return noise(self, shape, torch.empty(0, dtype=like.dtype), *purpose).to(like.device)

    monkeypatch.setattr(draws.KeyedDraws, "_image_noise", drawn_on_cpu)
    draw = AugmentPipe.draw

    def with_image_noises_there(self, n, shape, generator, image_noise=None):
        made = draw(self, n, shape, generator, image_noise)
        return made if image_noise is None or "noise" not in made else made | {"noise": OnGpu(made["noise"])}

    monkeypatch.setattr(AugmentPipe, "draw", with_image_noises_there)

    def make(**options):
        trained = moved_there(training(**options))
        steps = trained.gradients
        both = ("generator", "discriminator")
        trained.gradients = LearningSteps({n: getattr(trained, n).parameters() for n in both}, steps.adam)
        trained.stats.measure = lambda *phase_and_device: nullcontext()
        trained.start()
        assert trained.precision.chosen == options.get("precision", "fp32")
        return trained

    return make


def there(iteration, c_dim=0):
    return tuple(t.to(GPU) for t in batch(8, iteration, c_dim))


@pytest.mark.parametrize(
    "options",
    [
        dict(micro_batch=8),
        pytest.param(dict(micro_batch=4, precision="fp16"), marks=pytest.mark.long),
        dict(c_dim=3, precision="bf16"),
    ],
)
def test_a_step_reads_nothing_but_p_and_that_only_where_it_moves(on_gpu, options):
    with pretending() as reads:
        ada = AdaController(p_init=0.5, target=0.123, interval_iterations=2)
        trained = on_gpu(batch_size=8, ada=ada, **options)
        c_dim = options.get("c_dim", 0)
        trained.step(*there(0, c_dim))
        counts = []
        for iteration in range(1, 7):
            reads.clear()
            trained.step(*there(iteration, c_dim))
            assert set(reads) <= {"a copy to the host"}
            counts.append(len(reads))
    # p moves at the end of the iterations 1, 3 and 5.
    assert counts == [0, 1, 0, 1, 0, 1]


def test_large_draws_are_made_there_or_taken_from_memory_that_stays(on_gpu):
    """Of 32 samples: additive noise of 96 KiB, and latents that are made larger than what is copied at once."""
    with pretending() as reads:
        trained = on_gpu(batch_size=32, augment=AugmentPipe(noise=1, xflip=1))
        trained.draws.z_dim = 1024
        draw = trained.draws.draw("Gmain", 0, 32, trained.networks.weight, KINDS["Gmain"])
        assert draw.z.numel() * 4 > 64 * 1024 < draw.augment_fake["noise"].numel() * 4
        trained.draws.z_dim = 16
        trained.step(*(t.to(GPU) for t in batch(32, 0)))
        assert draw.z.device == draw.augment_fake["noise"].device == GPU
        assert draw.augment_fake["gate"].device == torch.device("cpu")
        assert not [read for read in reads if "large" in read]
        torch.zeros(32 * 1024).to(GPU)
        assert [read for read in reads if "large" in read]


def test_a_step_there_is_that_of_the_cpu(on_gpu):
    # float64: Adam's first steps are as long for a gradient that is a rounding error.
    options = dict(batch_size=8, micro_batch=4, dtype=torch.float64)
    here = training(**options)
    with pretending():
        trained = on_gpu(**options)
        for iteration in range(2):
            trained.step(*there(iteration))
    for iteration in range(2):
        here.step(*batch(8, iteration))
    for (name, ours), theirs in zip(here.state_dict().items(), trained.state_dict().values(), strict=True):
        torch.testing.assert_close(
            theirs.held, ours, rtol=1e-6, atol=1e-8, msg=lambda m, name=name: f"{name}: {m}"
        )


def test_drawing_reads_nothing(on_gpu):
    with pretending() as reads:
        generator = on_gpu(batch_size=8).generator_ema
        reads.clear()
        with torch.no_grad():
            generator(torch.randn(2, 16).to(GPU), None, noise_mode="const")
        assert reads == []


def test_the_pretended_gpu_reports_what_the_host_reads():
    with pretending() as reads:
        x = torch.arange(4.0).to(GPU)
        assert x.device == GPU and x.is_cuda
        x.sum().item()
        bool(x[0] > 1)
        x[x > 1]
        x.cpu()
        assert len(reads) == 4
        with pytest.raises(RuntimeError, match="on the CPU next to one on the GPU"):
            x + torch.ones(4)


def test_filters_there_work_on_planes(monkeypatch):
    # The package exports a function of the module's name.
    file = sys.modules["stylegan.ops.upfirdn2d"]
    in_planes, called = file._in_planes, []
    monkeypatch.setattr(file, "_in_planes", lambda *args: called.append(1) or in_planes(*args))
    x = torch.randn(2, 8, 16, 16).contiguous(memory_format=torch.channels_last)
    taps = setup_filter([1, 3, 3, 1])
    for resample in (upsample2d, downsample2d):
        with pretending():
            y = resample(OnGpu(x), taps)
            assert y.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(y.held, resample(x, taps))
    assert len(called) == 2
