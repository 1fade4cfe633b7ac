"""The work that is timed: the four phases of an iteration and generation, on real networks, without a Trainer."""

from collections.abc import Callable

import torch
from hydra.utils import instantiate
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from benchmarks.settings import Setting
from stylegan.cli.complete import complete, fill_labels
from stylegan.cli.compose import composed
from stylegan.training import StyleGAN2ADA

# How often a phase runs in an iteration.
SHARES = {"Gmain": 1.0, "Greg": 1 / 4, "Dmain": 1.0, "Dreg": 1 / 16}


class _Alone(StyleGAN2ADA):
    """Its backward passes and optimisers without Lightning's Trainer; the phases themselves are untouched."""

    def optimizers(self):
        return self._own_optimizers

    def manual_backward(self, loss, *args, **kwargs):
        loss.backward()


class Training:
    """A training that can be asked for one phase at a time.

    Args: setting: what to train. device: where.
    Raises: what the train command raises for its words.
    """

    def __init__(self, setting: Setting, device: torch.device):
        composition = composed("train", setting.words)
        complete(composition)
        config = composition.config
        fill_labels(config, 0)
        config.module["_target_"] = "benchmarks.training._Alone"
        torch.manual_seed(0)
        self.module = instantiate(config.module).to(device)
        self.module._own_optimizers = self.module.configure_optimizers()
        self.module._trainer = _NoTrainer()
        self.module.on_train_start()
        self.batch, self.device = setting.batch, device
        shape = (setting.batch, config.data.channels, setting.resolution, setting.resolution)
        generator = torch.Generator().manual_seed(0)
        self.reals = torch.rand(shape, generator=generator).mul(2).sub(1).to(device)
        self.iteration = 0
        self._z = torch.randn(setting.batch, self.module.generator.z_dim, generator=generator).to(device)
        self.module.augment.p = self.module.ada.p

    def phase(self, name: str) -> None:
        """One phase, with its optimiser's step."""
        self.iteration += 1
        module = self.module
        match name:
            case "Gmain":
                module.generator_main(self.iteration)
            case "Greg":
                module.generator_regularize(self.iteration)
            case "Dmain":
                module.discriminator_main(self.iteration, self.reals, None)
            case "Dreg":
                module.discriminator_regularize(self.iteration, self.reals, None)

    @torch.no_grad()
    def generate(self) -> None:
        """One batch of pictures from the average generator."""
        self.module.generator_ema(self._z, None)

    @property
    def works(self) -> dict[str, Callable[[], None]]:
        """All that is timed: phases that the setting has, and `generate`."""
        there = {"Gmain": True, "Greg": self.module.path_length, "Dmain": True, "Dreg": self.module.r1}
        phases = {name: (lambda name=name: self.phase(name)) for name, has in there.items() if has}
        return phases | {"generate": self.generate}


class _NoTrainer:
    datamodule = None


def operations(work: Callable[[], None]) -> float:
    """Floating-point operations of convolutions and matrix products, forward and backward; a multiply-add is two."""
    with _Counter() as counter:
        work()
    return float(counter.total)


class _Counter(TorchDispatchMode):
    """torch's formulas, as in its FlopCounterMode, whose bookkeeping by modules cannot follow R1's gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if (formula := flop_registry.get(func._overloadpacket)) is not None:
            self.total += formula(*args, **(kwargs or {}), out_val=out)
        return out
