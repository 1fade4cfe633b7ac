"""Protocol of a score: everything that decides which number comes out. Scores of two protocols do not compare."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from stylegan.evaluation.definitions import Definition
from stylegan.evaluation.settings import MetricSettings
from stylegan.features import Detector
from stylegan.networks.digest import weights_sha256 as weights_sha256
from stylegan.networks.precision import precision_text
from stylegan.sizes import size_text

# Counted up when a score is computed in another way, so that older ones are not compared with newer ones.
PROTOCOL_VERSION = 1

Protocol = Mapping[str, Any]

# What a protocol says of the data in words of its own, and as people call it.
_DATA = {
    "resolution": "resolution",
    "channels": "channels",
    "labels": "labels",
    "num_reals": "number of real pictures",
    "num_unreadable": "number of unreadable pictures",
}


def protocol_of(
    definition: Definition,
    settings: MetricSettings,
    *,
    detector: Detector,
    generator: nn.Module,
    precision: str,
    num_reals: int,
    num_unreadable: int = 0,
    data_fingerprint: str | None,
    data_content: str | None,
) -> dict[str, Any]:
    """The protocol of one metric of one network, ready for JSON.

    Args:
        definition: of the metric.
        settings: what was drawn.
        detector: the metric's.
        generator: on whose images the score is.
        precision: that it computes in.
        num_reals: real images that are compared with, 0 = none.
        num_unreadable: real images that were left out since they could not be read.
        data_fingerprint: of the data, None = unknown. It may look at some of the images only, or rest on what was
            known of their files.
        data_content: digest of what the real images show, None = there are none.
    """
    is_path = definition.score == "ppl"
    uses_data = num_reals or generator.c_dim
    return {
        "version": PROTOCOL_VERSION,
        "metric": definition.name,
        "detector": detector.name,
        "detector_checksum": detector.checksum,
        "resize": detector.resize,
        "resolution": size_text(generator.size),
        "channels": generator.channels,
        "num_reals": num_reals,
        "num_fakes": definition.num_fakes,
        "seed": settings.first_seed,
        # The definition of a path length says these three, not the settings.
        "precision": "fp32" if is_path else precision_text(generator, precision),
        # 1 and 1.0 are one protocol.
        "truncation": 1.0 if is_path else float(settings.truncation),
        "noise_mode": "random" if is_path else settings.noise_mode,
        "labels": "drawn from the data's" if generator.c_dim else "none",
        "data_fingerprint": data_fingerprint if uses_data else None,
        "data_content": data_content,
        "xflip": definition.with_flips,
        # Absent where all could be read, so that those protocols are the ones of older versions.
        **({"num_unreadable": num_unreadable} if num_unreadable else {}),
        **definition.options,
    }


def protocol_id(protocol: Protocol) -> str:
    """8 hex digits that stand for a protocol, in charts and where scores are ranked."""
    canonical = json.dumps(dict(protocol), sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(canonical.encode(), digest_size=4).hexdigest()


def in_words(protocol: Protocol) -> str:
    """A protocol on one line: `builtin 20288c23, 2,000 fakes against 1,906 reals, 32x32, bf16, seed 0, noise random,
    data 1f0c9a3e`; what differs between two evaluations of one network is in it, digests by their first digits.
    """
    reals = f" against {protocol['num_reals']:,} reals" if protocol["num_reals"] else ""
    if protocol.get("num_unreadable"):
        reals += f" ({protocol['num_unreadable']:,} unreadable ones left out)"
    if protocol["xflip"]:
        reals += ", mirrored ones among them"
    parts = [
        f"{protocol['detector']} {_short(protocol['detector_checksum'])}",
        f"{protocol['num_fakes']:,} fakes{reals}",
        str(protocol["resolution"]),
        str(protocol["precision"]),
        f"seed {protocol['seed']}",
        f"noise {protocol['noise_mode']}",
    ]
    if protocol["truncation"] != 1:
        parts.append(f"truncation {protocol['truncation']:g}")
    data = [protocol["data_content"], protocol["data_fingerprint"]]
    if any(data):
        # Labels, too, are part of the fingerprint, and what images show of the content.
        parts.append("data " + "/".join(_short(digest) for digest in data if digest))
    return ", ".join(parts)


def difference_in_data(protocols: Sequence[Protocol]) -> str:
    """What sets protocols apart that differ in their data only, as in "channels (1 and 3)"; "" where more differs, or
    nothing does. Digests say that pictures differ, not in what.
    """
    found = {
        key: list(dict.fromkeys(_plain(protocol.get(key)) for protocol in protocols))
        for key in dict.fromkeys(key for protocol in protocols for key in protocol)
    }
    differing = {key for key, texts in found.items() if len(texts) > 1}
    if differing - {*_DATA, "data_content", "data_fingerprint"}:
        return ""
    parts = [f"{name} ({' and '.join(found[key])})" for key, name in _DATA.items() if key in differing]
    if "data_content" in differing and not differing & {"resolution", "channels", "num_reals"}:
        parts.append("the pictures")
    if differing == {"data_fingerprint"}:
        # The digest of the content is of the pictures alone.
        is_of_same = found.get("data_content", ["none"]) != ["none"]
        parts.append(
            "labels or order of the pictures" if is_of_same else "the pictures, their labels or order"
        )
    return ", ".join(parts)


def _plain(value: Any) -> str:
    if value is None:
        return "none"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _short(digest: str) -> str:
    return str(digest)[:8]
