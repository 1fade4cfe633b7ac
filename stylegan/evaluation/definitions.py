"""Metric definitions: what the name of a metric stands for.

Published names (`fid50k_full`, ...) fix the score, its detector, how many images it takes and all its other numbers,
as in StyleGAN2-ADA (Karras et al. 2020). The project's own (`kid`, `fid`, ...) take the detector and the number of
requested fakes, and carry the detector in their name: `kid_builtin` can never be taken for a published KID.
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
# Below it no score is computed; from about this many on it means much.
_FEWEST_FAKES, _TELLING_FAKES = 2, 2000


@dataclass(frozen=True)
class Definition:
    """The definition of one metric.

    Args:
        name: what files, charts and results call it.
        score: which formula, see `stylegan.evaluation.scores`.
        detector: name for `stylegan.features.open_detector`.
        num_fakes: images drawn; of a path length, pairs.
        max_reals: None = all, 0 = none are needed.
        with_flips: whether mirrored copies that the set has count.
        options: the other numbers of the definition, part of its protocol.
    """

    name: str
    score: str
    detector: str
    num_fakes: int
    max_reals: int | None = None
    with_flips: bool = False
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def is_published(self) -> bool:
        return self.name in PUBLISHED

    @property
    def fewest_images(self) -> int:
        """How many fakes the metric needs at least, and as many reals where it compares with them."""
        match self.score:
            case "kid":
                return 4
            case "fid_infinity":
                return 16
            case "pr" | "dc":
                return self.options["k"] + 1
            case "is":
                return self.options["splits"]
        return _FEWEST_FAKES

    @property
    def seeds_each(self) -> int:
        """Latents a fake: a path joins two."""
        return 2 if self.score == "ppl" else 1

    @property
    def own_name(self) -> str:
        """The project's metric of the same kind, which takes any draws: `fid_inception` for `fid50k_full`."""
        score = {"kid_subsets": "kid"}.get(self.score, self.score)
        return f"{score}_{self.detector}"


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

# Name → score, options. Each takes the requested detector.
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
    metrics: str | Sequence[str] | None, *, detector: str, num_fakes: int
) -> tuple[Definition, ...]:
    """The definitions of metrics as users write them, each once, in order.

    Args:
        metrics: a name, a list of names, or "none".
        detector: of the project's own metrics.
        num_fakes: of the project's own metrics.
    Raises: ValueError for an unknown name, a detector that a metric cannot use, or too few fakes.
    """
    if detector not in DETECTORS:
        raise ValueError(f"detector must be one of {', '.join(DETECTORS)}, got {detector}")
    if isinstance(num_fakes, bool) or num_fakes < _FEWEST_FAKES:
        raise ValueError(
            f"num_fakes must be at least {_FEWEST_FAKES}, got {num_fakes}; a score means much from about"
            f" {_TELLING_FAKES} on"
        )
    definitions = [_definition(name, detector, num_fakes) for name in _names_in(metrics)]
    for definition in definitions:
        if definition.num_fakes < (fewest := definition.fewest_images):
            raise ValueError(
                f"num_fakes must be at least {fewest} for metrics={definition.name}, got {num_fakes}; a score means"
                f" much from about {_TELLING_FAKES} on"
            )
    return tuple({definition.name: definition for definition in definitions}.values())


def _names_in(metrics: Any) -> list[str]:
    if metrics and not isinstance(metrics, str | Sequence):
        raise ValueError(
            f"metrics must be a name, a list of names as in 'metrics=[kid,fid]', or none, got {metrics}"
        )
    names = [metrics] if isinstance(metrics, str) else list(metrics or [])
    if names in ([], [NONE]):
        return []
    for name in names:
        if not isinstance(name, str):
            raise ValueError(
                f"metrics must be names, got {'null' if name is None else name} in the list; write 'metrics=[kid,fid]',"
                " or metrics=none for none at all"
            )
    return names


def _definition(name: str, detector: str, num_fakes: int) -> Definition:
    if name in PUBLISHED:
        return PUBLISHED[name]
    plain, chosen = name, detector
    for other in DETECTORS:
        # `kid_inception` names its detector itself: it is what files and charts call it.
        if name.endswith(f"_{other}"):
            plain, chosen = name.removesuffix(f"_{other}"), other
    if plain not in _OWN:
        raise ValueError(_unknown(name))
    score, options = _OWN[plain]
    if score == "is" and chosen != "inception":
        raise ValueError(
            f"metrics={name} needs the classes of the inception network; use is50k, or the detector inception"
        )
    if score == "ppl" and chosen not in ("builtin", "lpips-vgg16"):
        raise ValueError(
            f"metrics={name} needs a perceptual distance, which the detector {chosen} does not have; choose the"
            " detector lpips-vgg16 or builtin"
        )
    own = Definition(f"{plain}_{chosen}", score, chosen, num_fakes, options=options)
    return replace(own, max_reals=0) if score in _WITHOUT_REALS else own


def _unknown(name: str) -> str:
    if name == NONE:
        return "metrics must name none alone, which turns all metrics off, or other metrics without it"
    known = [*_OWN, *PUBLISHED]
    with_detectors = [f"{own}_{detector}" for own in _OWN for detector in DETECTORS]
    close = difflib.get_close_matches(name.lower(), [*known, *with_detectors], n=1)
    hint = f"did you mean {close[0]}?" if close else f"choose among {', '.join(known)}, or none"
    return f"metrics={name}: there is no such metric; {hint}"


def higher_is_better(result: str) -> bool:
    """Whether a larger value of a result, by its name, is the better one."""
    return result.endswith(("_precision", "_recall", "_density", "_coverage", "_mean"))
