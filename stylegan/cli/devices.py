"""How many devices a run has: what is asked for, held against the processes that there are."""

from omegaconf import DictConfig, OmegaConf

from stylegan.config import count_devices
from stylegan.processes import Process


def settle_devices(config: DictConfig, process: Process) -> int:
    """Fills in `trainer.devices` and `num_nodes` where they are null: as many as there are processes.

    Returns: how many devices there are in all.
    Raises: ValueError where the processes that were started are not those that are asked for.
    """
    node = config.trainer
    if node.get("num_nodes", 1) is None:
        node.num_nodes = process.num_nodes
    if node.devices is None:
        if process.world == 1:
            raise ValueError(
                "trainer.devices=null takes the processes that torchrun or Slurm started, and this one is alone; set"
                " trainer.devices=2, which starts them on this machine, or begin the command with"
                " torchrun --standalone --nproc_per_node 2"
            )
        node.devices = process.local_world
    num_nodes = node.get("num_nodes", 1)
    if not isinstance(num_nodes, int) or isinstance(num_nodes, bool) or num_nodes < 1:
        raise ValueError(f"trainer.num_nodes must be a whole number of at least 1, got {num_nodes}")
    devices = count_devices(node.devices, num_nodes)
    if node.get("accelerator") == "cpu" and OmegaConf.is_list(node.devices):
        raise ValueError(
            f"trainer.devices={node.devices} are numbers of GPUs; on the CPU say how many: trainer.devices={devices}"
        )
    if process.world > 1 and devices != process.world:
        raise ValueError(
            f"{process.starter} started {process.world} processes, trainer.devices={node.devices} and"
            f" trainer.num_nodes={num_nodes} ask for {devices}; trainer=ddp takes what was started"
        )
    if process.world == 1 and num_nodes > 1:
        raise ValueError(
            f"trainer.num_nodes={num_nodes}, and this process is alone; start the command on each node by torchrun or"
            " srun (docs/restarts.md has the lines), with trainer=ddp"
        )
    if devices > 1 and isinstance(strategy := node.get("strategy", "auto"), str) and strategy != "auto":
        raise ValueError(
            f"trainer.strategy={strategy} sums gradients a second time, for the module sums them itself; leave it out"
        )
    return devices
