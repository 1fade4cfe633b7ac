"""What a model card says of a network: facts of its file and its run, scores of exactly its weights, and a preview."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stylegan.evaluation.protocol import in_words
from stylegan.evaluation.records import Score, in_line, read_records
from stylegan.images import on_white, save_png, tile, to_uint8, visible
from stylegan.interop import build
from stylegan.interop.model_card import CardFile, CardScore, ModelCard, classes_in_words
from stylegan.interop.stored import StoredNetwork, StoredNetworks
from stylegan.latents.sampling import Sampler
from stylegan.machine.files import replacing
from stylegan.machine.progress import with_progress
from stylegan.networks import Discriminator, Generator
from stylegan.networks.digest import tensors_sha256
from stylegan.runs.augmentation import augment_p_of
from stylegan.runs.folder import RunFolder, images_of
from stylegan.runs.network_files import folder_of, network_file
from stylegan.runs.resume import stored_if_any
from stylegan.sizes import parse_size, size_text

_TRUNCATION = 0.7
_PREVIEW_PX = (512, 1024)  # about, height and width
_HOLDS = {
    "generator_ema": "EMA generator, to draw from",
    "generator": "generator as it trained",
    "discriminator": "discriminator",
}


def facts_of_run(source: str) -> dict[str, str]:
    """What the run of a file says of its networks: the fingerprint of its data, and kimg by the file's name."""
    file, run = _run_of(source)
    if run is None:
        return {}
    facts = {}
    if isinstance(fingerprint := stored_if_any(run).get("data_fingerprint"), str):
        facts["data_fingerprint"] = fingerprint
    with suppress(ValueError):  # a file that was given another name
        facts["kimg"] = f"{images_of(file) / 1000:.3f}"
    return facts


def write_card(
    stored: StoredNetworks, folder: Path, *, title: str | None, repository: str | None
) -> list[Path]:
    """Writes `README.md` and `preview.png` next to the weights.

    Args:
        stored: networks with options of ours; at least one generator.
        folder: where `<kind>.safetensors` of each are.
        title: None = the name of the run, or of the folder. repository: `user/name` on the Hub.
    Returns: the two files.
    """
    kind = stored.kind_to_draw_from()
    generator = build(stored.networks[kind])
    _, run = _run_of(stored.source)
    seeds, shown = _preview(generator, folder / "preview.png")
    card = ModelCard(
        title=title or (run.path.absolute() if run else folder.absolute()).name,
        files=_files(stored),
        network=_network(generator),
        data=_data(stored.facts, run),
        training=_training(stored.facts, run),
        has_labels=bool(generator.c_dim),
        label_names=generator.label_names,
        scores=_scores(tensors_sha256(stored.networks[kind].weights), stored.source),
        license=stored.facts.get("license"),
        repository=repository,
        preview="preview.png",
        preview_text=f"Seeds 0 to {seeds - 1}, truncation {_TRUNCATION}{shown}",
    )
    with replacing(folder / "README.md") as file:
        file.write(card.text().encode("utf-8", "backslashreplace"))
    return [folder / "README.md", folder / "preview.png"]


def _run_of(source: str) -> tuple[Path, RunFolder | None]:
    """The file that a path means, and its run; None for a lone file, next to which may be anything."""
    file = Path(source)
    with suppress(ValueError):
        file = network_file(file)
    run = folder_of(file)
    in_run = run.checkpoints.absolute() == file.absolute().parent and run.config.exists()
    return file, run if in_run else None


def _files(stored: StoredNetworks) -> list[CardFile]:
    return [
        CardFile(
            f"{kind}.safetensors",
            _HOLDS[kind],
            _num_parameters(network),
            tensors_sha256(network.weights),
        )
        for kind, network in stored.networks.items()
    ]


def _num_parameters(stored: StoredNetwork) -> int:
    with torch.device("meta"):  # takes no memory
        network = (Generator if stored.is_generator else Discriminator)(**stored.options)
    return sum(parameter.numel() for parameter in network.parameters())


def _network(generator: Generator) -> dict[str, str]:
    options = generator.options
    rows = {
        "size": f"{size_text(parse_size(options['resolution']))} px (height x width)",
        "channels": str(options["channels"]),
        "architecture": f"StyleGAN2, {options['architecture']}",
        "width of z, of w": f"{options['z_dim']}, {options['w_dim']}",
        "mapping layers": str(options["mapping_layers"]),
        "channel_base, channel_max": f"{options['channel_base']}, {options['channel_max']}",
    }
    if generator.c_dim:
        rows["labels"] = classes_in_words(generator.label_names, generator.c_dim)
    return rows


def _data(facts: Mapping[str, str], run: RunFolder | None) -> dict[str, str]:
    rows = {"fingerprint": facts["data_fingerprint"]} if "data_fingerprint" in facts else {}
    data = stored_if_any(run).get("data") if run else None
    if isinstance(data, Mapping):
        known = {"labels": "labels", "xflip": "mirrored copies", "subset": "random subset of"}
        rows |= {words: _plain(data[key]) for key, words in known.items() if data.get(key) is not None}
    return rows


def _training(facts: Mapping[str, str], run: RunFolder | None) -> dict[str, str]:
    rows = {"length": f"{facts['kimg']} kimg (thousands of images seen)"} if "kimg" in facts else {}
    if run is None:
        return rows
    config = stored_if_any(run)
    for words, path in (
        ("batch", "batch_size"),
        ("R1 gamma", "loss.r1_gamma"),
        ("learning rate, generator", "optim.generator_lr"),
        ("learning rate, discriminator", "optim.discriminator_lr"),
        ("EMA half-life", "ema.half_life_kimg"),
        ("frozen discriminator layers", "discriminator.freeze_layers"),
        ("augmentation", "ada.mode"),
        ("seed", "seed"),
    ):
        value: Any = config
        for key in path.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is not None:
            rows[words] = f"{_plain(value)} kimg" if path.endswith("_kimg") else _plain(value)
    images = round(float(facts["kimg"]) * 1000) if _is_number(facts.get("kimg")) else None
    if (p := augment_p_of(run, images)) is not None:
        rows["largest augmentation p"] = f"{p:.3f}"
    return rows


def _scores(weights: str, source: str) -> list[CardScore]:
    """The newest score of each metric and protocol that was recorded of exactly these weights."""
    newest: dict[tuple[Any, Any], CardScore] = {}
    for path in sorted(folder_of(_run_of(source)[0]).path.glob("metric-*.jsonl")):
        for record in read_records(path):
            if record.get("weights_sha256") != weights:
                continue
            # Of another program, or another version: such a line has no protocol that can be said.
            with suppress(KeyError, TypeError, ValueError, AttributeError):
                protocol = record["protocol"]
                results = {name: value for name, value in record["results"].items() if value is not None}
                score = Score(str(record["metric"]), results, protocol, 0.0)
                kimg = "" if record.get("kimg") is None else f"{record['kimg']:.3f}"
                row = CardScore(score.name, in_line(score), kimg, in_words(protocol))
                newest[score.name, record.get("protocol_id")] = row
    return list(newest.values())


def _preview(generator: Generator, path: Path) -> tuple[int, str]:
    """Draws the sheet of seeds 0, 1, ....  Returns: how many; what to add of their labels."""
    height, width = generator.size
    columns, rows = max(2, min(8, _PREVIEW_PX[1] // width)), max(1, min(4, _PREVIEW_PX[0] // height))
    count = columns * rows
    labels = None
    if generator.c_dim:
        labels = torch.eye(generator.c_dim)[torch.arange(count) % generator.c_dim]
    chunks = Sampler(generator).of_seeds(range(count), label=labels, truncation=_TRUNCATION)
    counted = ((len(seeds), images) for seeds, images in chunks)
    images: Sequence[Tensor] = list(with_progress(counted, total=count))
    sheet = tile(on_white(visible(to_uint8(torch.cat(list(images))))), columns)
    save_png(path, sheet, {"seeds": f"0-{count - 1}", "truncation": str(_TRUNCATION)})
    return count, "; each seed has the next class" if generator.c_dim else ""


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _is_number(text: str | None) -> bool:
    try:
        return 0 <= float(text or "") < 1e12
    except ValueError:
        return False
