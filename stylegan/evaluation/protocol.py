"""The protocol of a score: everything that decides which number comes out. Scores of two protocols do not compare."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

# Counted up when a score is computed in another way, so that older ones are not compared with newer ones.
PROTOCOL_VERSION = 1

Protocol = Mapping[str, Any]


def protocol_id(protocol: Protocol) -> str:
    """8 hex digits that stand for a protocol, in charts and where scores are ranked."""
    canonical = json.dumps(dict(protocol), sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(canonical.encode(), digest_size=4).hexdigest()


def in_words(protocol: Protocol) -> str:
    """A protocol on one line: `builtin 20288c23, 2,000 fakes against 1,906 reals, 32x32, bf16, seed 0, noise random,
    data 1f0c9a3e`; what differs between two evaluations of one network is in it, digests by their first digits.
    """
    reals = f" against {protocol['num_reals']:,} reals" if protocol["num_reals"] else ""
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
        # Labels, too, are part of the fingerprint, and pictures of the content.
        parts.append("data " + "/".join(_short(digest) for digest in data if digest))
    return ", ".join(parts)


def _short(digest: str) -> str:
    return str(digest)[:8]
