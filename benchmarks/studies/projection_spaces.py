"""How near pictures come in each space of a projection, and what a tuning does to seeds that it was not for.

    python -m benchmarks.studies.projection_spaces --network emoji.safetensors --pictures held-out/ --steps 500
    python -m benchmarks.studies.projection_spaces --network emoji.safetensors --tuned tuned.safetensors

Prints a table of PSNR by space, and how far seeds are from what the untuned network drew of them. With `--tuned` only
the latter, of a file that is there, and beside it how far seeds are from each other, and from themselves with other
noise.
"""

import argparse
import copy
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from stylegan import load_generator
from stylegan.cli.generate import decode_picture
from stylegan.images import to_uint8
from stylegan.latents.projection import (
    Schedule,
    SearchSettings,
    Tuner,
    Tuning,
    apply_difference,
    open_loss,
    search,
    w_statistics,
    write_difference,
)
from stylegan.latents.projection.pictures import find_pictures, read_target
from stylegan.latents.projection.quality import mean_squared_error, psnr
from stylegan.latents.sampling import Sampler

_SEEDS = range(1000, 1064)


def main() -> None:
    arguments = _arguments()
    generator = load_generator(arguments.network)
    if arguments.tuned is not None:
        _say_of_tuning(generator, arguments.tuned)
        return
    if arguments.pictures is None:
        targets = drawn(generator, arguments.count)
    else:
        pictures = find_pictures(arguments.pictures)[: arguments.count]
        size, channels = generator.size, generator.channels
        targets = torch.stack(
            [read_target(each, decode_picture, size=size, channels=channels) for each in pictures]
        )
    loss = open_loss(arguments.loss, path=arguments.loss_path, size=generator.size)
    label = None if not generator.c_dim else torch.eye(generator.c_dim)[arguments.label]
    statistics = w_statistics(generator, label)
    start = statistics.mean.expand(len(targets), generator.num_ws, -1)
    spread = torch.full((len(targets),), statistics.spread)
    print(f"{len(targets)} pictures, {loss.name}, {arguments.steps} steps")
    pivots = None
    for space in ("w", "w+"):
        settings = SearchSettings(space=space, schedule=Schedule(steps=arguments.steps))
        found = search(generator, targets, start, spread, loss=loss, settings=settings)
        _say(
            space,
            _pixels(generator, found.ws, found.noise),
            targets,
            f"largest loss {float(found.loss.max()):.4f}",
        )
        pivots = pivots or found
    for locality in arguments.locality:
        settings = Tuning(steps=arguments.tuning_steps, target_loss=arguments.target_loss, locality=locality)
        labels = None if label is None else label.expand(len(targets), -1)
        tuner = Tuner(
            generator,
            targets,
            pivots.ws,
            pivots.noise,
            loss=loss,
            settings=settings,
            spread=spread,
            labels=labels,
        )
        rounds = list(tuner.rounds())[-1].number
        tuned = _as_its_file(generator, tuner.generator)
        before, after = (_of_seeds(each, label) for each in (generator, tuned))
        change = psnr(float(mean_squared_error(after, before).mean()))
        words = f"{rounds} rounds, locality {locality:g}, other seeds changed: {change:.1f} dB"
        _say("tuned", _pixels(tuned, pivots.ws, pivots.noise), targets, words)


def _say_of_tuning(generator: torch.nn.Module, path: Path) -> None:
    """What a file of tuning does to seeds that it was not for."""
    tuned = copy.deepcopy(generator)
    apply_difference(tuned, path)
    before = _of_seeds(generator, None)
    for words, other in (
        ("other seeds changed", _of_seeds(tuned, None)),
        ("two seeds apart", before.flip(0)),
        ("a seed with other noise", _of_seeds(generator, None, noise_mode="random")),
    ):
        values = [psnr(float(mse)) for mse in mean_squared_error(before, other)]
        mean = psnr(float(mean_squared_error(before, other).mean()))
        print(f"{words}: {mean:.1f} dB ({min(values):.1f} to {max(values):.1f})")


def drawn(generator: torch.nn.Module, count: int) -> Tensor:
    """What the network draws of other seeds."""
    return _of_seeds(generator, None, range(count))


def _as_its_file(base: torch.nn.Module, tuned: torch.nn.Module) -> torch.nn.Module:
    again = copy.deepcopy(base)
    with tempfile.TemporaryDirectory() as folder:
        write_difference(Path(folder) / "tuned.safetensors", base, tuned)
        print(f"the file has {(Path(folder) / 'tuned.safetensors').stat().st_size / 1e6:.2f} MB")
        apply_difference(again, Path(folder) / "tuned.safetensors")
    return again


def _of_seeds(
    generator: torch.nn.Module, label: Tensor | None, seeds: range = _SEEDS, noise_mode: str = "const"
) -> Tensor:
    parts = Sampler(generator).of_seeds(seeds, label=label, noise_mode=noise_mode)
    return torch.cat([to_uint8(images) for _, images in parts])


def _pixels(generator: torch.nn.Module, ws: Tensor, noise: dict[str, Tensor]) -> Tensor:
    return to_uint8(Sampler(generator).draw(ws, "random", noise=noise))


def _say(space: str, images: Tensor, targets: Tensor, words: str) -> None:
    values = [psnr(float(mse)) for mse in mean_squared_error(images, targets)]
    mean = sum(values) / len(values)
    print(
        f"{space:<6} PSNR {mean:6.2f} dB in the mean, {min(values):.2f} to {max(values):.2f}; {words}",
        flush=True,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", required=True, help="run folder or file")
    parser.add_argument(
        "--pictures", help="a picture or a folder; without it, pictures that the network draws"
    )
    parser.add_argument("--tuned", type=Path, help="a file that task=projection space=tuned has written")
    parser.add_argument("--count", type=int, default=8, help="pictures, at most")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--tuning-steps", type=int, default=350)
    parser.add_argument("--target-loss", type=float, default=None)
    parser.add_argument("--locality", type=float, nargs="+", default=[0, 0.1], help="one tuning for each")
    parser.add_argument("--label", type=int, default=0, help="class, for a network with labels")
    parser.add_argument("--loss", default="multiscale")
    parser.add_argument("--loss-path", default=None)
    return parser.parse_args()


if __name__ == "__main__":
    main()
