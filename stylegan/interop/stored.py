"""Stored networks: what every reader of files gives, before anything is built from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

Kind = Literal["generator", "generator_ema", "discriminator"]
KINDS: tuple[Kind, ...] = ("generator_ema", "generator", "discriminator")
# Images are drawn from the EMA generator, where there is one.
TO_DRAW_FROM: tuple[Kind, ...] = ("generator_ema", "generator")


@dataclass(frozen=True)
class StoredNetwork:
    """One network as a file holds it.

    Args:
        options: of its constructor.
        weights: parameters and buffers by name.
        public_options: whether the options have the names of the public implementation instead of ours.
    """

    options: Mapping[str, object]
    weights: Mapping[str, Tensor]
    public_options: bool = False

    @property
    def is_generator(self) -> bool:
        """Only a generator has a latent."""
        return "z_dim" in self.options


@dataclass(frozen=True)
class StoredNetworks:
    """The networks of one file or folder.

    Args:
        source: its path or address, for messages.
        networks: by kind.
        facts: what the file says of them, all text: `kimg`, `data_fingerprint`, `label_names` (JSON), `license`,
            `sha256` (JSON, kind → digest of its weights), ...
    """

    source: str
    networks: Mapping[Kind, StoredNetwork]
    facts: Mapping[str, str] = field(default_factory=dict)

    def kind_to_draw_from(self) -> Kind:
        """The EMA generator, or the only one.  Raises: ValueError where there is no generator."""
        return self.first_of(TO_DRAW_FROM)

    def first_of(self, wanted: tuple[Kind, ...]) -> Kind:
        """The first kind that is there.  Raises: ValueError that says what is there in its place."""
        found = next((kind for kind in wanted if kind in self.networks), None)
        if found is None:
            what = "generator" if wanted[0] in TO_DRAW_FROM else "discriminator"
            kinds = dict.fromkeys("generator" if kind in TO_DRAW_FROM else kind for kind in self.networks)
            there = f", only a {' and a '.join(kinds)}" if kinds else ""
            raise ValueError(f"{self.source} has no {what}{there}")
        return found
