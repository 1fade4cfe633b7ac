"""`stylegan-convert SOURCE DEST`: networks into other files, with a model card, and to the Hugging Face Hub."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from stylegan.cli.command import exit_code_of
from stylegan.configuration.hydra_errors import from_input
from stylegan.errors import UserError
from stylegan.machine.console import say, surviving_lost_output, warn
from stylegan.machine.files import expanded, replacing
from stylegan.machine.process import leaving_at_once, prepare_host, refuse_lost_folder
from stylegan.machine.text import printable, some
from stylegan.runs.known_networks import is_known
from stylegan.version import __version__

if TYPE_CHECKING:  # loads torch
    from stylegan.interop.stored import Kind, StoredNetworks

_PROGRAM = "stylegan-convert"
# What is written -> the ending of its file; "" = a folder.
_ENDINGS = {
    "card": "",
    "safetensors": ".safetensors",
    "rosinality": ".pt",
    "onnx": ".onnx",
    "exported": ".pt2",
}
# As the command line calls networks.
_PARTS: "Mapping[str, Kind]" = {"EMA": "generator_ema", "G": "generator", "D": "discriminator"}
# These take one generator, and draw with it.
_OF_GENERATOR = ("onnx", "exported")


def main(argv: Sequence[str] | None = None) -> int:
    """Converts as the command line says.  Returns: the exit code: 0 done, 2 user's mistake, 128 + signal."""
    prepare_host()
    with leaving_at_once(), surviving_lost_output():
        return exit_code_of(lambda: _command(argv), program=_PROGRAM)


@dataclass(frozen=True)
class Request:
    """What the command line asks for.

    Args:
        source: a run folder, a file or an address. dest: a file, or a folder.
        to: a key of `_ENDINGS`. kinds: of networks; None = what `to` takes by default.
        subnetwork: of the generator, for onnx and exported. overwrite: whether files may be replaced.
        license: of the weights; None = as the source says. title: of the card; None = the run's or folder's name.
        push: the repository `user/name`; None = none. private: of a repository that is made.
    """

    source: str
    dest: Path
    to: str
    kinds: "tuple[Kind, ...] | None"
    subnetwork: str
    overwrite: bool
    license: str | None
    title: str | None
    push: str | None
    private: bool


def _command(argv: Sequence[str] | None) -> int:
    refuse_lost_folder()
    with from_input():
        convert(parsed(argv))
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; {_PROGRAM} --help shows what there is")


def parsed(argv: Sequence[str] | None) -> Request:
    """Raises: UserError, ValueError for words that make no request; SystemExit after --help and --version."""
    parser = _Parser(prog=_PROGRAM, description="Writes networks as other files.", allow_abbrev=False)
    parser.add_argument(
        "source",
        help="run folder, .ckpt, .safetensors, .pkl, .pt, a name such as ffhq256, or hf://user/name",
    )
    parser.add_argument("dest", help="file to write, or a folder")
    kinds = ", ".join(f"{kind} ({ending or 'folder'})" for kind, ending in _ENDINGS.items())
    parser.add_argument("--to", choices=list(_ENDINGS), help=f"what to write; else by DEST's ending: {kinds}")
    parser.add_argument(
        "--parts",
        help="networks, as in EMA,D; of EMA, G, D, or all. Default: card, onnx, exported EMA; else all",
    )
    parser.add_argument("--license", help="of the weights, for metadata and card, as in cc-by-4.0")
    parser.add_argument("--title", help="of the card; default: the name of the run or of DEST")
    parser.add_argument(
        "--push", metavar="user/name", help="upload the card's folder to the Hugging Face Hub"
    )
    parser.add_argument("--private", action="store_true", help="a repository that --push makes is private")
    parser.add_argument(
        "--subnetwork",
        choices=["whole", "mapping", "synthesis"],
        default="whole",
        help="of onnx and exported",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files that are there")
    parser.add_argument("--version", action="version", version=f"stylegan-lightning {__version__}")
    words = parser.parse_args(None if argv is None else list(argv))
    dest = expanded(words.dest, key="DEST")
    to = words.to or _by_ending(dest)
    if words.push is not None and to != "card":
        raise UserError(f"--push {words.push} takes --to card, which writes what is uploaded; got --to {to}")
    if words.private and words.push is None:
        raise UserError("--private is of the repository that --push makes; set --push user/name, too")
    return Request(
        source=words.source,
        dest=dest,
        to=to,
        kinds=_kinds(words.parts),
        subnetwork=words.subnetwork,
        overwrite=words.overwrite,
        license=words.license,
        title=words.title,
        push=words.push,
        private=words.private,
    )


def convert(request: Request) -> None:
    """Reads, writes, and says so.  Raises: ValueError, OSError in one line; nothing is half-written."""
    files = _files_to_write(request)
    _refuse_taken(request, files)
    if request.push is not None:
        from stylegan.interop.hub import check_repository

        check_repository(request.push)
    from stylegan.interop import read_networks

    is_path = not request.source.startswith("hf://") and not is_known(request.source)
    source = str(expanded(request.source, key="SOURCE")) if is_path else request.source
    stored = _with_known_facts(read_networks(source), request)
    stored = _chosen(stored, request)
    say(f"source      {stored.source}: {_in_words(stored)}")
    writers: dict[str, Callable[[StoredNetworks, Request], list[Path]]] = {
        "safetensors": _write_safetensors,
        "rosinality": _write_rosinality,
        "card": _write_card,
        "onnx": _export,
        "exported": _export,
    }
    written = writers[request.to](stored, request)
    total = sum(path.stat().st_size for path in written)
    say(f"done        {request.dest}: {some([path.name for path in written])} ({total / 2**20:.1f} MiB)")
    if request.push is not None:
        from stylegan.interop.hub import push

        names = [path.name for path in written]
        url = push(request.dest, request.push, names, private=request.private, overwrite=request.overwrite)
        say(f"pushed      {url}; anyone who may see it loads hf://{request.push}")


def _by_ending(dest: Path) -> str:
    if dest.is_dir() or not dest.suffix:
        return "card"
    found = next((to for to, ending in _ENDINGS.items() if ending and ending == dest.suffix.lower()), None)
    if found is None:
        endings = ", ".join(ending for ending in _ENDINGS.values() if ending)
        raise UserError(f"{dest}: its ending says nothing; use {endings}, a folder for a model card, or --to")
    return found


def _kinds(words: str | None) -> "tuple[Kind, ...] | None":
    if words is None:
        return None
    if words.strip().lower() == "all":
        return tuple(_PARTS.values())
    found = []
    for word in words.split(","):
        if (kind := _PARTS.get(word.strip().upper())) is None:
            raise UserError(f"--parts {words}: {word.strip() or 'nothing'} is none of EMA, G, D, all")
        found.append(kind)
    return tuple(dict.fromkeys(found))


def _files_to_write(request: Request) -> list[Path]:
    """What may be written, to be looked for before anything else is done.

    Raises: UserError where DEST has the wrong ending.
    """
    is_folder = request.dest.is_dir() or not request.dest.suffix
    if request.to == "card" or (request.to == "safetensors" and is_folder):
        if request.dest.exists() and not request.dest.is_dir():
            raise UserError(f"{request.dest} is a file, and --to {request.to} writes a folder; name another")
        names = [f"{kind}.safetensors" for kind in request.kinds or _PARTS.values()]
        card = ["README.md", "preview.png"] if request.to == "card" else []
        return [request.dest / name for name in [*names, *card]]
    ending = _ENDINGS[request.to]
    if request.dest.suffix.lower() != ending:
        raise UserError(f"{request.dest}: --to {request.to} writes a file that ends in {ending}")
    return [request.dest]


def _refuse_taken(request: Request, files: Sequence[Path]) -> None:
    source = Path(request.source)
    if any(file.exists() and source.exists() and file.samefile(source) for file in files):
        raise UserError(f"{request.dest} is the source itself; name another file")
    if not request.overwrite and (taken := [str(file) for file in files if file.exists()]):
        verb = "is" if len(taken) == 1 else "are"
        raise UserError(f"{some(taken)} {verb} there already; --overwrite replaces what is there")


def _with_known_facts(stored: "StoredNetworks", request: Request) -> "StoredNetworks":
    """With what the run's records and the command line add to what the file says, and with options of ours."""
    from stylegan.cli.card import facts_of_run
    from stylegan.interop.stored import StoredNetworks

    facts = {**facts_of_run(stored.source), **stored.facts}
    if request.license is not None:
        facts["license"] = printable(request.license)
    # Of the source's file alone: the digest of the tensors that are written is computed again.
    for key in ("sha256", "layout"):
        facts.pop(key, None)
    networks = {kind: _in_our_options(stored, kind) for kind in stored.networks}
    names = next(
        (n.options.get("label_names") for n in networks.values() if n.options.get("label_names")), None
    )
    if names:
        facts["label_names"] = json.dumps(list(names))
    return StoredNetworks(stored.source, networks, facts)


def _in_our_options(stored: "StoredNetworks", kind: "Kind"):
    from stylegan.interop import build
    from stylegan.interop.stored import StoredNetwork

    try:
        network = build(stored.networks[kind])
    except (TypeError, ValueError) as error:
        raise ValueError(f"{stored.source}: {error}") from error
    return StoredNetwork(network.options, network.state_dict())


def _chosen(stored: "StoredNetworks", request: Request) -> "StoredNetworks":
    """The networks that are asked for.  Raises: ValueError for one that is not there."""
    from stylegan.interop.stored import StoredNetworks

    kinds = request.kinds
    if kinds == tuple(_PARTS.values()) or (kinds is None and request.to in ("safetensors", "rosinality")):
        kinds = tuple(stored.networks)
    elif kinds is None:
        kinds = (stored.kind_to_draw_from(),)
    if request.to in (*_OF_GENERATOR, "card"):
        stored_kinds = [kind for kind in kinds if kind in stored.networks]
        if not any(stored.networks[kind].is_generator for kind in stored_kinds):
            raise ValueError(
                f"--to {request.to} draws with a generator; --parts names none that is in {stored.source}"
            )
    if missing := [kind for kind in kinds if kind not in stored.networks]:
        words = {kind: word for word, kind in _PARTS.items()}
        there = ", ".join(words[kind] for kind in stored.networks)
        raise ValueError(f"{stored.source} has no {words[missing[0]]} (--parts); it has {there}")
    return StoredNetworks(stored.source, {kind: stored.networks[kind] for kind in kinds}, stored.facts)


def _in_words(stored: "StoredNetworks") -> str:
    from stylegan.sizes import parse_size, size_text

    words = {kind: word for word, kind in _PARTS.items()}
    options = next(iter(stored.networks.values())).options
    kimg = f", kimg {stored.facts['kimg']}" if "kimg" in stored.facts else ""
    size = size_text(parse_size(options["resolution"]))
    return f"{', '.join(words[kind] for kind in stored.networks)}; {size} px, {options['channels']} channels{kimg}"


def _write_safetensors(stored: "StoredNetworks", request: Request) -> list[Path]:
    from stylegan.interop import save_networks
    from stylegan.interop.stored import StoredNetworks

    if request.dest.suffix.lower() == ".safetensors" and not request.dest.is_dir():
        request.dest.parent.mkdir(parents=True, exist_ok=True)
        save_networks(request.dest, stored)
        return [request.dest]
    request.dest.mkdir(parents=True, exist_ok=True)
    written = []
    for kind, network in stored.networks.items():
        written.append(request.dest / f"{kind}.safetensors")
        save_networks(written[-1], StoredNetworks(stored.source, {kind: network}, stored.facts))
    return written


def _write_rosinality(stored: "StoredNetworks", request: Request) -> list[Path]:
    import torch

    from stylegan.interop.rosinality import content_of, lost_options

    content = content_of(stored)
    for kind, network in stored.networks.items():
        for lost in lost_options(network):
            warn(f"{kind}: {lost}; this project reads it back as it was")
    request.dest.parent.mkdir(parents=True, exist_ok=True)
    with replacing(request.dest) as file:
        torch.save(content, file)
    return [request.dest]


def _write_card(stored: "StoredNetworks", request: Request) -> list[Path]:
    from stylegan.cli.card import write_card

    weights = _write_safetensors(stored, request)
    return weights + write_card(stored, request.dest, title=request.title, repository=request.push)


def _export(stored: "StoredNetworks", request: Request) -> list[Path]:
    from stylegan.interop import build
    from stylegan.interop.export import export_onnx, export_program

    export = export_onnx if request.to == "onnx" else export_program
    request.dest.parent.mkdir(parents=True, exist_ok=True)
    # Names of labels, size and digest are written by the exports themselves.
    facts = {key: stored.facts[key] for key in ("kimg", "data_fingerprint", "license") if key in stored.facts}
    generator = build(stored.networks[stored.kind_to_draw_from()])
    say(export(generator, request.dest, part=request.subnetwork, metadata=facts, say=say).line)
    return [request.dest]


if __name__ == "__main__":
    sys.exit(main())
