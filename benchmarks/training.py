"""The work that is timed: the four phases of an iteration and generation, on real networks, without a Trainer."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from hydra.utils import instantiate
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from benchmarks.settings import Setting
from stylegan.configuration.complete import DataFacts, check, complete, label_values, with_values
from stylegan.configuration.compose import composed
from stylegan.networks.precision import PRECISIONS
from stylegan.networks.synthesis import prepared
from stylegan.training import AdversarialTraining

# How often a phase runs in an iteration.
SHARES = {"Gmain": 1.0, "Greg": 1 / 4, "Dmain": 1.0, "Dreg": 1 / 16}


class Training:
    """A training that can run one phase at a time.

    Args: setting: what to train. device: where.
    Raises: what the train command raises for its words.
    """

    def __init__(self, setting: Setting, device: torch.device):
        config = complete(check(composed("train", setting.words))).config
        config = with_values(config, label_values(config, DataFacts(setting.batch)))
        torch.manual_seed(0)
        self.module: AdversarialTraining = instantiate(config.module).to(device)
        self.module.start()
        self.batch, self.device = setting.batch, device
        shape = (setting.batch, config.data.channels, setting.resolution, setting.resolution)
        generator = torch.Generator().manual_seed(0)
        self.reals = torch.rand(shape, generator=generator).mul(2).sub(1).to(device)
        self.iteration = 0
        self._z = torch.randn(setting.batch, self.module.generator.z_dim, generator=generator).to(device)

    def dtype_of(self, name: str) -> torch.dtype:
        """What the convolutions of a work compute in, for the most part."""
        chosen = self.module.precision.of_phase(second_order=name in ("Greg", "Dreg"))
        return PRECISIONS[chosen] or torch.float32

    def phase(self, name: str) -> None:
        """One phase, with its optimiser's step."""
        self.iteration += 1
        self.module.run_phase(name, self.reals, iteration=self.iteration)

    @torch.no_grad()
    def generate(self, generator: nn.Module | None = None) -> None:
        """One batch of images.  Args: generator: None = the EMA generator."""
        (generator or self.module.generator_ema)(self._z, None)

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """Inside, the EMA generator stays as it is."""
        with prepared(self.module.generator_ema.synthesis):
            yield

    @property
    def works(self) -> dict[str, Callable[[], None]]:
        """All that is timed: phases that the setting has, and `generate`."""
        on = [phase.name for phase in self.module.phases if phase.is_on]
        phases = {name: (lambda name=name: self.phase(name)) for name in on}
        return phases | {"generate": self.generate}


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
