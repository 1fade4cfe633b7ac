"""Plan of a transfer: which network of the file each network of the run gets its weights from, and whether it fits."""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from stylegan.interop.checkpoint import build, read_networks
from stylegan.interop.stored import Kind, StoredNetworks
from stylegan.interop.transfer.report import NetworkReport, Row, TransferReport
from stylegan.interop.transfer.surgery import transfer_discriminator, transfer_generator
from stylegan.networks import Discriminator, Generator
from stylegan.networks.channels import block_channels, blocks_of
from stylegan.networks.digest import tensors_sha256
from stylegan.runs.checkpoints import checksum_of, damage_of

# Options by which weights have their shapes, apart from those that the data decide.
_SIZES = ("architecture", "z_dim", "w_dim", "mapping_layers", "mbstd_channels")
_WIDTHS = ("channel_base", "channel_max")


@dataclass(frozen=True)
class Transfer:
    """Networks of a file, and which of them a run begins with.

    Args:
        path: the file, folder or address. stored: what it holds. sha256: of the file, or of the weights of several.
        parts: some of G, D, EMA. min_matched: the smallest share of a network's parameters that must come from it.
    """

    path: str | Path
    sha256: str
    stored: StoredNetworks
    parts: tuple[str, ...]
    min_matched: float

    def sources(self) -> dict[Kind, Kind | None]:
        """For each network of the run the one of the file that it begins with; None = it begins with random weights.

        The EMA generator gives the generator its weights where the file or `parts` have no other one. Where `parts`
        leave out EMA, it begins as a copy of the generator, as in any run.
        """
        has, parts = self.stored.networks, self.parts
        ema: Kind | None = "generator_ema" if "generator_ema" in has else None
        generator: Kind | None = "generator" if "generator" in has else None
        for_g = (generator if "G" in parts else None) or (ema or generator)
        for_g = for_g if {"G", "EMA"} & set(parts) else None
        for_ema = (ema or generator) if "EMA" in parts else for_g
        discriminator: Kind | None = "discriminator" if "discriminator" in has and "D" in parts else None
        return {"generator": for_g, "generator_ema": for_ema, "discriminator": discriminator}

    def apply(self, networks: dict[Kind, nn.Module]) -> TransferReport:
        """Gives the networks of a run their weights, in place.

        Args: networks: all three, on the CPU, with the first weights of the run.
        Raises: ValueError in one line where the file's networks cannot be built, where nothing in it is of use, or
            where too little of a network comes from it.
        """
        reports: dict[str, NetworkReport] = {}
        notes: list[str] = []
        sources = self.sources()
        if not any(sources.values()):
            wanted = ", ".join(self.parts)
            raise ValueError(
                f"{self._key} holds nothing for transfer.parts=[{wanted}]; set other parts or another file"
            )
        for kind, source in sources.items():
            network = networks[kind]
            if source is None:
                reports[kind] = NetworkReport(_left_random(network))
                continue
            old = self._built(source)
            names = (_names(self.stored), getattr(networks["generator"], "label_names", ()))
            reports[kind] = replace(
                _transferred(old, network, names), source=source.replace("_ema", " (EMA)")
            )
            differing = list(_other_sizes(old, network))
            if reports[kind].share < self.min_matched:
                raise ValueError(self._too_little(kind, reports[kind], old, network, differing))
            notes += [word for word in differing if word not in notes]
        if notes:
            notes = [f"the file's networks have other sizes; these would keep them: {' '.join(notes)}"]
        return TransferReport(str(self.path), self.sha256, self.stored.facts, reports, tuple(notes))

    @property
    def _key(self) -> str:
        return f"transfer.path={self.path}"

    def _built(self, source: Kind) -> Generator | Discriminator:
        try:
            return build(self.stored.networks[source]).float().eval().requires_grad_(False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{self._key}: {error}") from error

    def _too_little(
        self, kind: Kind, report: NetworkReport, old: nn.Module, new: nn.Module, differing: Sequence[str]
    ) -> str:
        name = kind.replace("generator_ema", "EMA generator")
        sizes = f"it has {_size_of(old)} and this run {_size_of(new)}"
        way_out = f"set {' '.join(differing)} as the file has, or " if differing else ""
        return (
            f"{self._key}: only {report.share:.1%} of the {name}'s parameters come from the file, less than"
            f" transfer.min_matched={self.min_matched:g}: {sizes}; {way_out}{'' if differing else 'set '}a smaller"
            " transfer.min_matched"
        )


def read_transfer(path: str | Path, *, parts: Sequence[str], min_matched: float) -> Transfer:
    """Reads the file of a transfer, without executing anything it holds.

    Raises: ValueError in one line, after the key, where it cannot be read or is damaged.
    """
    try:
        file = Path(path)
        if file.is_file() and checksum_of(file).exists() and (damage := damage_of(file)) is not None:
            raise ValueError(f"{path} cannot be used: {damage}; name an older one")
        stored = read_networks(path)
        digest = _digest_of_file(file) if file.is_file() else _digest_of_weights(stored)
    except OSError as error:
        raise ValueError(f"transfer.path={path} cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise ValueError(f"transfer.path={error}") from error
    return Transfer(path, digest, stored, tuple(parts), min_matched)


def _digest_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest_of_weights(stored: StoredNetworks) -> str:
    return tensors_sha256(
        {
            f"{kind}.{name}": value
            for kind, network in stored.networks.items()
            for name, value in network.weights.items()
        }
    )


def _transferred(
    old: Generator | Discriminator, new: nn.Module, names: tuple[Sequence[str], Sequence[str]]
) -> NetworkReport:
    if isinstance(old, Generator) and isinstance(new, Generator):
        return transfer_generator(old, new)
    if isinstance(old, Discriminator) and isinstance(new, Discriminator):
        return transfer_discriminator(old, new, old_names=names[0], new_names=names[1])
    raise ValueError(
        f"transfer.path needs stylegan.networks.{type(old).__name__}, and this run has {type(new).__name__};"
        " leave out what sets its _target_"
    )


def _names(stored: StoredNetworks) -> Sequence[str]:
    """Names of the classes that the file's generators know."""
    for network in stored.networks.values():
        if names := network.options.get("label_names"):
            return list(names) if isinstance(names, Collection) else ()
    return ()


def _left_random(network: nn.Module) -> tuple[Row, ...]:
    return tuple(
        Row(name, "random", "", "x".join(map(str, value.shape)) or "1", value.numel(), 0)
        for name, value in network.named_parameters()
    )


def _other_sizes(old: nn.Module, new: nn.Module) -> Iterator[str]:
    """Words of the command line by which the new network would have the sizes of the old one."""
    section = type(new).__name__.lower()
    before, now = old.options, new.options
    for key in _SIZES:
        # A discriminator's mapping network is not the user's to set.
        if (
            key in before
            and before[key] != now.get(key)
            and not (section, key) == ("discriminator", "mapping_layers")
        ):
            yield f"{section}.{key}={before[key]}"
    if any(before[key] != now[key] for key in _WIDTHS) and _channels(old, new) != _channels(new, old):
        yield from (f"{section}.{key}={before[key]}" for key in _WIDTHS if before[key] != now[key])


def _channels(network: nn.Module, other: nn.Module) -> list[int]:
    """Feature maps of the blocks that both networks have."""
    levels = {block.level for block in blocks_of(network.size)} & {
        block.level for block in blocks_of(other.size)
    }
    sizes = {key: network.options[key] for key in _WIDTHS}
    return [block_channels(level, **sizes) for level in sorted(levels)]


def _size_of(network: nn.Module) -> str:
    """In a few words: `512 to 64 channels, 8 mapping layers, 256x256`."""
    levels = [block.level for block in blocks_of(network.size)]
    most, least = (
        block_channels(
            level, channel_base=network.options["channel_base"], channel_max=network.options["channel_max"]
        )
        for level in (levels[0], levels[-1])
    )
    depth = f", {network.mapping.num_layers} mapping layers" if isinstance(network, Generator) else ""
    height, width = network.size
    return f"{most} to {least} feature maps ({network.options['architecture']}{depth}) at {height}x{width}"
