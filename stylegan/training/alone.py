"""The phases of a training, one at a time and without Lightning's Trainer: to measure what each of them takes."""

from types import SimpleNamespace
from typing import Any

from torch import Tensor

from stylegan.training.lit_module import StyleGAN2ADA


class Alone:
    """Stands in for the Trainer: backward passes, optimisers, and how training starts. The phases are the module's.

    Args:
        module: anew, and on its device. It is of no use to a Trainer afterwards.
        data: what a Trainer's datamodule is to it; None = none, which a module without labels does not miss.
    Raises: ValueError for a module of another kind.
    """

    def __init__(self, module: StyleGAN2ADA, *, data: Any = None):
        if not isinstance(module, StyleGAN2ADA):
            raise ValueError(f"the phases of StyleGAN2ADA are run here, and {type(module).__name__} has none")
        self.module = module
        self.optimizers = module.configure_optimizers()
        module.optimizers = lambda: self.optimizers
        module.manual_backward = lambda loss, *args, **kwargs: loss.backward(*args, **kwargs)
        module._trainer = SimpleNamespace(datamodule=data)
        if module.precision is None:
            module.settle_precision(module.device)
        module.on_train_start()

    @property
    def phases(self) -> tuple[str, ...]:
        """The phases that the module has, in the order of an iteration: Gmain, Greg, Dmain, Dreg."""
        has = {"Gmain": True, "Greg": self.module.has_path_length, "Dmain": True, "Dreg": self.module.r1}
        return tuple(name for name, there in has.items() if there)

    def run(self, phase: str, iteration: int, images: Tensor, labels: Tensor | None = None) -> None:
        """One phase, with its optimiser's step.

        Args: images [n,C,H,W] in [-1,1] and labels [n,K], of this process, with dtype and device of the weights.
        """
        match phase:
            case "Gmain":
                self.module.generator_main(iteration)
            case "Greg":
                self.module.generator_regularize(iteration)
            case "Dmain":
                self.module.discriminator_main(iteration, images, labels)
            case "Dreg":
                self.module.discriminator_regularize(iteration, images, labels)
            case _:
                raise ValueError(f"phase must be one of {', '.join(self.phases)}, got {phase}")
