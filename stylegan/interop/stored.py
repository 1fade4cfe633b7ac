"""Networks as a file holds them, whatever its format: the value that every reader gives."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

Kind = Literal["generator", "generator_ema", "discriminator"]


@dataclass(frozen=True)
class StoredNetwork:
    """One network.

    Args:
        options: of its constructor.
        weights: by the names of `state_dict`.
        public_options: whether the options have the public implementation's names (`nvidia_names`), or ours.
    """

    options: Mapping[str, object]
    weights: Mapping[str, Tensor]
    public_options: bool

    @property
    def is_generator(self) -> bool:
        """Whether it is a generator: only that has a latent."""
        return "z_dim" in self.options


@dataclass(frozen=True)
class StoredNetworks:
    """All networks of a file.

    Args:
        source: the file, for messages.
        networks: by what they are.
        facts: what the file says besides, as text: `kimg`, `data_fingerprint`, `label_names` (JSON), ...
    """

    source: str
    networks: Mapping[Kind, StoredNetwork]
    facts: Mapping[str, str] = field(default_factory=dict)
