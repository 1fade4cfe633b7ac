"""Beginning by a transfer: read and tried out while the run is planned, applied to its networks once they are built."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from stylegan.cli.generate import is_on_hub
from stylegan.configuration.complete import label_values, with_values
from stylegan.configuration.hydra_errors import instantiate_part
from stylegan.machine.files import expanded, replacing
from stylegan.runs.folder import RunFolder
from stylegan.runs.known_networks import is_known
from stylegan.runs.network_files import find_network

if TYPE_CHECKING:  # they load torch
    from stylegan.interop.transfer import Transfer, TransferReport


def planned_transfer(config: DictConfig) -> "tuple[Transfer, TransferReport]":
    """The transfer that a run begins with, and what will become of each tensor.

    It is tried out on networks that are thrown away: what does not fit is refused before anything else is decided.
    Args: config: complete, with the labels of the data.
    Raises: ValueError in one line.
    """
    import torch

    from stylegan.interop.transfer import read_transfer

    transfer = read_transfer(
        _source(config),
        parts=OmegaConf.to_object(config.transfer.parts),
        min_matched=config.transfer.min_matched,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        generator, discriminator = (instantiate_part(config, part, _convert_="all") for part in _NETWORKS)
        average = instantiate_part(config, "generator", _convert_="all")
    average.load_state_dict(generator.state_dict())
    networks = {"generator": generator, "discriminator": discriminator, "generator_ema": average}
    return transfer, transfer.apply(networks)


def _source(config: DictConfig) -> str | Path:
    """The file that `transfer.path` means; or the folder, or the address of the Hub, that has several."""
    from stylegan.interop.checkpoint import native_files

    path = config.transfer.path
    if is_on_hub(path) or (not is_known(path) and native_files(expanded(path, key="transfer.path"))):
        return path if is_on_hub(path) else expanded(path, key="transfer.path")
    return find_network(path, runs_dir=config.runs_dir, key="transfer.path")


_NETWORKS = ("generator", "discriminator")


def apply_transfer(transfer: "Transfer", module: Any) -> None:
    """Gives the networks of a training their weights.

    Only rank 0 needs to: all processes get its weights when the training begins.
    Raises: ValueError where the module has no such networks.
    """
    names = (*_NETWORKS, "generator_ema")
    if lacks := [name for name in names if not hasattr(module, name)]:
        raise ValueError(
            f"transfer.path needs a module with {', '.join(names)}, and {type(module).__name__} lacks"
            f" {', '.join(lacks)}; leave transfer.path out"
        )
    transfer.apply({name: getattr(module, name) for name in names})


def write_report(report: "TransferReport", folder: RunFolder) -> None:
    """Writes the whole table to the run's folder, for programs and for readers."""
    text = json.dumps(report.as_json(), indent=1)
    for path, content in ((folder.transfer_json, text), (folder.transfer_text, report.table())):
        with replacing(path) as file:
            file.write(content.encode())


def lines_to_explain(config: DictConfig) -> Iterator[str]:
    """What `explain=true` says of a transfer; nothing is written.  Args: config: complete."""
    folder = RunFolder(config.run_dir)
    newest = None if config.resume == "never" else folder.newest_checkpoint()
    if newest is not None:
        yield f"transfer  none: {folder.path} has {newest.name}, and continues from there"
        return
    if any(config[network].get("c_dim", 0) is None for network in _NETWORKS):
        from stylegan.cli.plan import open_data

        config = with_values(config, label_values(config, open_data(config)[1]))
    _, report = planned_transfer(config)
    yield from (f"transfer  {line}" for line in report.lines())
