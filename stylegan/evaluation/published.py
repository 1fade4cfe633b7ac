"""A published name fixes everything: what is computed in another way is refused under it."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from stylegan.evaluation.definitions import PUBLISHED, Definition
from stylegan.features import Detector

_NONE_YET: Mapping[str, Detector] = MappingProxyType({})


def check_published(
    definitions: Iterable[Definition],
    *,
    truncation: float,
    noise_mode: str,
    detectors: Mapping[str, Detector] = _NONE_YET,
    keys: str = "",
) -> None:
    """Whether all metrics of published names are computed as published: no truncation, each picture with noise of its
    own, and the weights of the publisher.

    Args: detectors: by name, as far as they are open. keys: what stands before the names of the keys, as in
      "callbacks.metrics.".
    Raises: ValueError that names the metric, the value, and the project's own metric, which takes any.
    """
    for definition in definitions:
        if definition.name not in PUBLISHED:
            continue
        own = f"metrics={_own_name(definition)}"
        if truncation != 1:
            raise ValueError(
                f"{keys}truncation={truncation:g}: metrics={definition.name} is published without truncation; leave"
                f" it at 1, or use {own}, which takes any"
            )
        if noise_mode != "random":
            raise ValueError(
                f"{keys}noise_mode={noise_mode}: metrics={definition.name} is published with noise_mode=random; leave"
                f" it there, or use {own}, which takes any"
            )
        detector = detectors.get(definition.detector)
        if detector is not None and not detector.published:
            raise ValueError(
                f"metrics={definition.name}: the weights of {definition.detector} are not the published ones (SHA-256"
                f" {detector.checksum[:8]}...); give those, see docs/metrics.md, or use {own}, which takes any"
            )


def _own_name(definition: Definition) -> str:
    """The project's metric of the same kind: `fid_inception` for `fid50k_full`."""
    score = {"kid_subsets": "kid"}.get(definition.score, definition.score)
    return f"{score}_{definition.detector}"
