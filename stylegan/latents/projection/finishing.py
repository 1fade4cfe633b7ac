"""Second and third stage of a projection: tuning of the generator, and drawing the results with their table."""

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from stylegan.images import to_float
from stylegan.latents.drawer import Drawer
from stylegan.latents.outputs import read_sidecar, write_sidecar
from stylegan.latents.projection.difference import apply_difference, write_difference
from stylegan.latents.projection.job import Job
from stylegan.latents.projection.losses import Target, distance
from stylegan.latents.projection.quality import Quality, as_csv, as_json, as_lines, mean_squared_error, psnr
from stylegan.latents.projection.results import TABLES, drawn, write_images
from stylegan.latents.projection.tuning import Tuner, Tuning
from stylegan.machine.console import say
from stylegan.machine.files import replacing
from stylegan.machine.progress import with_progress

TOGETHER = "tuned.safetensors"


def tune(job: Job, settings: Tuning, *, together: Mapping[str, str] | None) -> list[tuple[str, int]]:
    """Tunes one generator for each picture, or one for all.

    Args: together: what the one file for all says of its origin; None = one for each.
    Returns: of each picture the file of its generator, and how many rounds it took.
    Raises: ValueError where another file is in the way; OSError where one cannot be written.
    """
    everything = list(range(len(job.pictures)))
    if together is not None:
        return [_tuned(job, settings, everything, TOGETHER, together)] * len(everything)
    return [
        _tuned(job, settings, [number], job.names[number].tuned, job.texts[number]) for number in everything
    ]


def finish(job: Job, tuned: Sequence[tuple[str, int]] | None) -> list[Quality]:
    """Draws every result, writes the images and the table, and says where all is.

    Args: tuned: of each picture the file of its generator and the rounds; None = the network draws them.
    Raises: OSError where a file cannot be written.
    """
    rows: list[Quality] = []
    drawer, file = job.drawer, None
    for number in range(len(job.pictures)):
        rounds = None
        if tuned is not None:
            other, rounds = tuned[number]
            drawer, file = (drawer if other == file else _tuned_drawer(job, other)), other
        rows.append(_finish_one(job, number, drawer, rounds))
    for name, content in zip(TABLES, (as_csv(rows), as_json(rows)), strict=True):
        with replacing(job.output.folder / name, durable=False) as table:
            table.write(content)
    for line in as_lines(rows):
        say(line)
    several = f"{len(rows):,} pictures" if len(rows) > 1 else "1 picture"
    say(f"{several} in {job.output.folder}, latents for every task in {job.output.folder / 'latents'}")
    return rows


def _tuned(
    job: Job, settings: Tuning, numbers: Sequence[int], file: str, text: Mapping[str, str]
) -> tuple[str, int]:
    path = job.output.folder / file
    rounds = (read_sidecar(path) or {}).get("rounds")
    if path.exists() and job.is_there(file, text) and isinstance(rounds, int):
        return file, rounds
    tuner = _tuner(job, settings, numbers)
    pairs = ((1, found) for found in tuner.rounds())
    last = list(with_progress(pairs, total=settings.steps, what="rounds of tuning", doing="tuning"))[-1]
    # The sidecar first, and no older file beside it: where there is a file, all is whole.
    path.unlink(missing_ok=True)
    write_sidecar(path, {**text, "rounds": last.number})
    write_difference(path, job.drawer.generator, tuner.generator, text=text)
    say(f"{path}: tuned in {last.number} rounds, {job.loss.name} at most {float(last.losses.max()):.4f}")
    return file, last.number


def _tuner(job: Job, settings: Tuning, numbers: Sequence[int]) -> Tuner:
    targets, masks = job.read(numbers)
    found = [job.found(number) for number in numbers]
    labels = [_label(each.numbers) for each in found]
    layers = found[0].row.noise or {}
    return Tuner(
        job.drawer.generator,
        targets,
        torch.stack([each.row.w for each in found]),
        {layer: torch.stack([each.row.noise[layer] for each in found]) for layer in layers},
        loss=job.loss,
        settings=settings,
        spread=torch.tensor([job.starts.statistics(label).spread for label in labels]),
        labels=None if labels[0] is None else torch.stack(labels),
        masks=masks,
    )


def _tuned_drawer(job: Job, file: str) -> Drawer:
    """Draws with the generator as its file has it, so that the file and these pixels belong together."""
    generator = copy.deepcopy(job.drawer.generator)
    apply_difference(generator, job.output.folder / file, name=job.drawer.name)
    return job.drawer.with_generator(generator, name=f"{job.drawer.name}, tuned", weights="")


def _finish_one(job: Job, number: int, drawer: Drawer, rounds: int | None) -> Quality:
    found = job.found(number)
    targets, masks = job.read([number])
    ws = found.row.w[None].to(drawer.device)
    result = drawn(drawer, ws, found.row.noise)
    write_images(job.output, job.names[number], targets[0], result[0], job.texts[number])
    mse = float(mean_squared_error(result, targets, masks))
    with torch.no_grad():
        place = drawer.device
        target = Target(job.loss, to_float(targets.to(place)), None if masks is None else masks.to(place))
        off = float(distance(job.loss, to_float(result.to(place)), target))
    return Quality(
        name=job.pictures[number].path.name,
        psnr=psnr(mse),
        mse=mse,
        loss=off,
        loss_name=job.loss.name,
        distance_to_mean=float(job.starts.statistics(_label(found.numbers)).distance(ws)),
        best_step=found.best_step,
        label=found.label,
        tuned_rounds=rounds,
    )


def _label(numbers: Sequence[float]) -> Tensor | None:
    return torch.tensor(numbers) if numbers else None
