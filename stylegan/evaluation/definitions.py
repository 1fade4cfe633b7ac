"""What a metric's name stands for: the score, its detector, how many pictures, and the numbers in its definition.

Published names (`fid50k_full`, ...) fix all of it, as in StyleGAN2-ADA (Karras et al. 2020). The project's own
(`kid`, `fid`, ...) take the detector and the number of fakes that are asked for, and carry the detector in their
name: `kid_builtin` can never be taken for a published KID.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from stylegan.features.registry import DETECTORS

NONE = "none"

_PUBLISHED_FAKES = 50_000
_LEGACY_REALS = 50_000


@dataclass(frozen=True)
class Definition:
    """One metric.

    name: what files, charts and results call it. score: which formula, see `stylegan.evaluation.scores`.
    detector: name for `stylegan.features.open_detector`. num_fakes: pictures drawn; of a path length, pairs.
    max_reals: None = all, 0 = none are needed. with_flips: whether mirrored copies that the set has count.
    options: the other numbers of the definition, part of its protocol.
    """

    name: str
    score: str
    detector: str
    num_fakes: int
    max_reals: int | None = None
    with_flips: bool = False
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


_KID = {"subsets": 100, "subset_size": 1000}
_PATH = {"epsilon": 1e-4}


def _published(name: str, score: str, detector: str, **rest: Any) -> tuple[str, Definition]:
    return name, Definition(name, score, detector, _PUBLISHED_FAKES, **rest)


def _path_length(name: str, space: str, sampling: str, *, crop: bool) -> tuple[str, Definition]:
    options = _PATH | {"space": space, "sampling": sampling, "crop": crop}
    return _published(name, "ppl", "lpips-vgg16", max_reals=0, options=options)


PUBLISHED: Mapping[str, Definition] = dict(
    [
        _published("fid50k_full", "fid", "inception"),
        _published("kid50k_full", "kid_subsets", "inception", max_reals=1_000_000, options=_KID),
        _published("pr50k3_full", "pr", "vgg16", max_reals=200_000, options={"k": 3}),
        _published("is50k", "is", "inception", max_reals=0, options={"splits": 10}),
        _path_length("ppl2_wend", "w", "end", crop=False),
        _published("fid50k", "fid", "inception", max_reals=_LEGACY_REALS, with_flips=True),
        _published(
            "kid50k", "kid_subsets", "inception", max_reals=_LEGACY_REALS, with_flips=True, options=_KID
        ),
        _published("pr50k3", "pr", "vgg16", max_reals=_LEGACY_REALS, with_flips=True, options={"k": 3}),
        _path_length("ppl_zfull", "z", "full", crop=True),
        _path_length("ppl_wfull", "w", "full", crop=True),
        _path_length("ppl_zend", "z", "end", crop=True),
        _path_length("ppl_wend", "w", "end", crop=True),
    ]
)

# Name → score, options. Each takes the detector that is asked for.
_OWN: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "kid": ("kid", _KID),
    "fid": ("fid_and_bias", {}),
    "fid_infinity": ("fid_infinity", {}),
    "pr": ("pr", {"k": 3}),
    "dc": ("dc", {"k": 5}),
    "is": ("is", {"splits": 10}),
    "ppl": ("ppl", _PATH | {"space": "w", "sampling": "end", "crop": False}),
}
_WITHOUT_REALS = ("is", "ppl")


def definitions_of(
    metrics: str | Sequence[str] | None, *, detector: str, num_fakes: int, key: str = "metrics"
) -> list[Definition]:
    """`metrics` as users write it → what is to be computed, each once, in order.

    Args: metrics: a name, a list of names, or "none". detector, num_fakes: of the project's own metrics.
      key: what the user calls it, for the message.
    Raises: ValueError for an unknown name, a detector that a metric cannot use, or no fakes.
    """
    if detector not in DETECTORS:
        raise ValueError(f"detector={detector} is not known; choose one of {', '.join(DETECTORS)}")
    if isinstance(num_fakes, bool) or num_fakes < 2:
        raise ValueError(f"num_fakes={num_fakes}: a score needs at least 2 pictures, and 2000 to tell much")
    if metrics and not isinstance(metrics, str | Sequence):
        raise ValueError(f"{key}={metrics}: it must be a name, a list of names as in [kid,fid], or none")
    names = [metrics] if isinstance(metrics, str) else list(metrics or [])
    if names in ([], [NONE]):
        return []
    for name in names:
        if not isinstance(name, str):
            raise ValueError(
                f"{key}: {'null' if name is None else name} in the list is no name of a metric; write {key}=[kid,fid],"
                f" or {key}=none for none at all"
            )
    found = [_definition(name, detector, num_fakes, key) for name in names]
    for definition in found:
        if definition.num_fakes < (fewest := fewest_pictures(definition)):
            raise ValueError(
                f"num_fakes={num_fakes}: {key}={definition.name} needs at least {fewest}, and 2000 to tell much"
            )
    return list({definition.name: definition for definition in found}.values())


def _definition(name: str, detector: str, num_fakes: int, key: str) -> Definition:
    if name in PUBLISHED:
        return PUBLISHED[name]
    plain, chosen = name, detector
    for other in DETECTORS:
        # `kid_inception` names its detector itself: it is what files and charts call it.
        if name.endswith(f"_{other}"):
            plain, chosen = name.removesuffix(f"_{other}"), other
    if plain not in _OWN:
        raise ValueError(_unknown(name, key))
    score, options = _OWN[plain]
    if score == "is" and chosen != "inception":
        raise ValueError(
            f"{key}={name}: the inception score needs the classes of the inception network; use is50k, or"
            " detector=inception"
        )
    if score == "ppl" and chosen not in ("builtin", "lpips-vgg16"):
        raise ValueError(
            f"{key}={name}: a path length needs a perceptual distance, which {chosen} has not; use"
            " detector=lpips-vgg16 or detector=builtin"
        )
    own = Definition(f"{plain}_{chosen}", score, chosen, num_fakes, options=options)
    return replace(own, max_reals=0) if score in _WITHOUT_REALS else own


def fewest_pictures(definition: Definition) -> int:
    """How many fakes a metric needs at least, and as many reals where it compares with them."""
    match definition.score:
        case "kid":
            return 4
        case "fid_infinity":
            return 16
        case "pr" | "dc":
            return definition.options["k"] + 1
        case "is":
            return definition.options["splits"]
    return 2


def _unknown(name: str, key: str) -> str:
    known = [*_OWN, *PUBLISHED]
    with_detectors = [f"{own}_{detector}" for own in _OWN for detector in DETECTORS]
    if name == NONE:
        return f"{key}: none stands alone, and turns all metrics off"
    close = difflib.get_close_matches(name.lower(), [*known, *with_detectors], n=1)
    hint = f"did you mean {close[0]}?" if close else f"choose among {', '.join(known)}, or none"
    return f"{key}={name}: there is no such metric; {hint}"


def higher_is_better(result: str) -> bool:
    """Whether a larger value of a result, by its name, is the better one."""
    return result.endswith(("_precision", "_recall", "_density", "_coverage", "_mean"))
