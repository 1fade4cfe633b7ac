"""What the bits of a run depend on beside its settings: said where a run goes on with another."""

from typing import Any

import pytorch_lightning as pl
import torch

from stylegan.distributed.collectives import world


class Machine(pl.Callback):
    """Keeps the numbers of processes and threads, the kind of device and torch's version in the checkpoint.

    Sums are added in another order by another number of threads or processes, and so round otherwise: such a run is
    as good as before, and no longer the same in its last bits.
    """

    def __init__(self) -> None:
        self._before: dict[str, Any] = {}
        self._now: dict[str, Any] = {}

    def state_dict(self) -> dict[str, Any]:
        # A new dictionary: the checkpoint keeps what is handed over.
        return dict(self._now)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._before = dict(state_dict)

    def on_fit_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._now = {
            "processes": world(),
            "threads": torch.get_num_threads(),
            "device": module.device.type,
            "torch": str(torch.__version__),
        }

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        changed = [
            f"{name} {self._before[name]} -> {value}"
            for name, value in self._now.items()
            if name in self._before and self._before[name] != value
        ]
        if changed and trainer.is_global_zero:
            print(
                f"note        {', '.join(changed)}: the last bits will differ from those of before",
                flush=True,
            )
