"""Strategy of Lightning for several processes, without a wrapper around the module."""

import os
from typing import Any

import torch
from lightning_fabric.plugins import ClusterEnvironment
from pytorch_lightning.strategies import DDPStrategy

from stylegan.distributed import collectives as ranks
from stylegan.distributed.processes import this_process


class StartedProcesses(ClusterEnvironment):
    """The processes that exist already: torchrun, Slurm or the train command started them.

    Without it Lightning takes any shell of a Slurm allocation, or what is left of another job's variables, for one of
    several processes.
    """

    def __init__(self) -> None:
        super().__init__()
        self._process = this_process()

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        return self._process.address

    @property
    def main_port(self) -> int:
        return self._process.port

    @staticmethod
    def detect() -> bool:
        return this_process().world > 1

    def world_size(self) -> int:
        return self._process.world

    def set_world_size(self, size: int) -> None:
        if size != self._process.world:
            raise ValueError(
                f"trainer.devices and trainer.num_nodes ask for {size} processes, {self._process.world} were started;"
                " let torchrun start as many, or set trainer=ddp, which uses the processes that were started"
            )

    def global_rank(self) -> int:
        return self._process.rank

    def set_global_rank(self, rank: int) -> None:
        pass

    def local_rank(self) -> int:
        return self._process.local_rank

    def node_rank(self) -> int:
        return self._process.node


class FlatStrategy(DDPStrategy):
    """One process a device, each with the whole model, and nothing around the module.

    `DistributedDataParallel` sums gradients at each backward pass, of both networks, and fails on parameters
    that a phase does not use. Here the training sums one flat vector before each optimiser step, and everything that
    its buffers depend on; so N processes train as one does with the same batch. The processes are those that
    `stylegan.distributed.processes` finds in the environment.
    """

    def __init__(self) -> None:
        super().__init__(cluster_environment=StartedProcesses())

    def _configure_launcher(self) -> None:
        self._launcher = None

    def setup_distributed(self) -> None:
        self.set_world_ranks()
        ranks.join(this_process())

    def configure_ddp(self) -> None:
        # Equal already: the same seed or the same file. Machines may draw the first weights differently, though.
        with torch.no_grad():
            for tensor in (*self.model.parameters(), *self.model.buffers()):
                dense = tensor.contiguous()  # in another layout it cannot be sent
                torch.distributed.broadcast(dense, src=0)
                tensor.copy_(dense)

    def barrier(self, *args: Any, **kwargs: Any) -> None:
        # By gloo, on any device.
        ranks.largest_over_ranks(0)

    def save_checkpoint(
        self, checkpoint: dict[str, Any], filepath: str | os.PathLike, storage_options: Any | None = None
    ) -> None:
        """Rank 0 writes; a full disk is an error on all, since none may continue without the others."""
        io = self.checkpoint_io
        ranks.on_rank_zero(lambda: io.save_checkpoint(checkpoint, filepath, storage_options=storage_options))
