"""`stylegan-generate` and `python generate.py`: finds the network and the place, and runs the chosen task.

What is made is named by a `_target_` in `conf/task/`.
"""

import re
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from stylegan.cli.command import Result, run_command
from stylegan.configuration.command_line import quote, unescaped
from stylegan.configuration.compose import Composition, keys_of
from stylegan.configuration.hydra_errors import from_input, instantiate_part
from stylegan.configuration.user_code import mistyped_keys, nonsense_in
from stylegan.errors import UserError
from stylegan.machine.console import say, surviving_lost_output, warn
from stylegan.machine.files import expanded
from stylegan.machine.process import leaving_at_once, prepare_host
from stylegan.runs.folder import RunFolder, images_of
from stylegan.runs.known_networks import is_cached
from stylegan.runs.network_files import find_network, kept_of_run
from stylegan.sizes import Size
from stylegan.version import __version__

if TYPE_CHECKING:
    import numpy as np

    from stylegan.latents.drawer import Drawer


# What a task may have, and the drawer takes.
_OF_DRAWER = (
    *("truncation", "truncation_cutoff", "center", "directions"),
    *("canvas", "canvas_mode", "layer", "crop"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Draws as the command line says.  Returns: the exit code: 0 done, 2 user's mistake, 128 + signal."""
    prepare_host()
    with leaving_at_once(), surviving_lost_output():
        return run_command("generate", generate, argv, program="stylegan-generate", implied=words_like)


def generate(composition: Composition) -> Result:
    """Runs the chosen task on one network.  Raises: UserError."""
    config = composition.config
    faults = list(nonsense_in(config, keys_of("generate", [f"task={composition.choices['task']}"])))
    if faults := faults + list(mistyped_keys(config, "generate", _OF_DRAWER)):
        raise UserError("\n".join(faults))
    with from_input():
        from stylegan.latents.outputs import Output

        network = network_of(config)
        if config.out is not None:
            out = expanded(config.out, key="out")
        else:
            out = Path("generated") if is_on_hub(config.network) else default_out(network)
        out = place_of_job(out, composition.swept)
        say(f"network: {network}")
        if config.get("layer") == "list":
            return list_layers(network)
        # First what is cheap to check: a slip in the seeds should not wait for a large file.
        task = instantiate_part(config, "task")
        drawer = open_drawer(network, config)
        if config.get("like") is not None:
            say_difference(config.like, drawer)
        try:
            task.run(drawer, Output(out, overwrite=config.overwrite))
        except OSError as error:
            raise UserError(
                f"the result cannot be written: {error}; set out=... for another folder"
            ) from error
    return Result(0)


def network_of(config: DictConfig) -> Path:
    """The file of the network that is drawn from, or, where a task has two, of the one of the low resolutions.

    Raises: ValueError where there is none, or where both keys name one.
    """
    low = config.get("low")
    if low is None:
        return find_network(fetched(config.network), runs_dir=config.runs_dir)
    if config.network is not None:
        raise ValueError(f"low={low} and network={config.network} name the same network; set one of them")
    return find_network(fetched(low), runs_dir=config.runs_dir, key="low")


def fetched(network: str | None) -> str | None:
    """The file in the cache that an address of the Hub means; anything else as it is.  Raises: ValueError."""
    if not is_on_hub(network):
        return network
    from stylegan.interop.hub import fetch
    from stylegan.interop.stored import TO_DRAW_FROM

    return str(fetch(network, TO_DRAW_FROM)[0])


def is_on_hub(network: str | None) -> bool:
    """Whether `network=` is an address of the Hub."""
    return network is not None and network.startswith("hf://")


def open_drawer(network: Path, config: DictConfig) -> "Drawer":
    """The network with the settings that all tasks share; those that a task does not have keep their defaults."""
    from stylegan.interop import load_generator, save_generator
    from stylegan.latents.drawer import Drawer

    def open_other(name: str, key: str):
        return load_generator(find_network(fetched(name), runs_dir=config.runs_dir, key=key))

    generator = load_generator(network)
    provenance = provenance_of(network)
    if config.tuned is not None:
        from stylegan.latents.projection import apply_difference

        path = expanded(config.tuned, key="tuned")
        apply_difference(generator, path, name=str(network))
        # Its name for the reader; the digest of the weights counts.
        provenance |= {"tuned": path.name, "tuned_file": str(config.tuned)}
    return Drawer(
        generator,
        name=str(network),
        device=config.device,
        precision=config.precision,
        noise_mode=config.noise_mode,
        provenance=provenance,
        open_other=open_other,
        save_network=save_generator,
        kept=lambda what: kept_of_run(network, what),
        decode_picture=decode_picture,
        **{key: config[key] for key in _OF_DRAWER if key in config},
    )


def decode_picture(data: bytes, *, size: Size | None, channels: int) -> "np.ndarray":
    """An encoded image as the data of training are decoded.

    Args: size: (height, width) in px; None = the image's own, upright.
    Returns: uint8 [channels, *size].  Raises: ValueError in a few words where the data are damaged.
    """
    from datamodules.datasets.decoding import UNREADABLE, decode_image, measure_image, reason_of

    try:
        size = size or measure_image(BytesIO(data), channels=channels, whole=False)
        return decode_image(data, size=size, channels=channels)
    except UNREADABLE as error:
        raise ValueError(reason_of(error)) from error


def words_like(overrides: Sequence[str]) -> list[str]:
    """The words that `like=seed0042.png` stands for: its point, its settings, its files and its network where found.

    They come before those of the command line, so that what is typed counts.
    """
    words = OverridesParser.create().parse_overrides(list(overrides))
    given = {word.key_or_group: word.value() for word in words if not word.is_sweep_override()}
    if not isinstance(given.get("like"), str):
        return []
    # As it was typed, and not as OmegaConf is to read it.
    image = unescaped(given["like"])
    from stylegan.latents.like import likeness_of, network_of

    with from_input():
        like = likeness_of(image, given=given)
        runs = expanded(str(given.get("runs_dir") or "runs"), key="runs_dir")
        network = network_of(like.seeds, like.text, runs_dir=runs)
    found = {"seeds": like.seeds, **like.settings, **({} if network is None else {"network": str(network)})}
    # A number stays one, and all else is text, whatever it looks like.
    numbers = ("truncation", "truncation_cutoff", "quality")
    return [
        f"{key}={value if key in numbers and _is_number(value) else quote(value)}"
        for key, value in found.items()
        if key not in given
    ]


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?\d{1,20}(\.\d{1,20})?(e-?\d{1,3})?", text, re.ASCII) is not None


def say_difference(image: str, drawer: "Drawer") -> None:
    """One line where what draws the image now, the network or a file that it names, is not what drew it."""
    from stylegan.latents.like import likeness_of

    given = ("center", "directions", "tuned")
    if (line := likeness_of(image, given=given).difference(drawer.weights, drawer.text)) is not None:
        warn(line)


def list_layers(network: Path) -> Result:
    """Prints the layers that can be drawn."""
    from stylegan.interop import load_generator
    from stylegan.latents.canvas import layer_lines

    for line in layer_lines(load_generator(network)):
        say(line)
    return Result(0)


def default_out(network: Path) -> Path:
    """`generated` in the run that a file belongs to, or next to a lone file; of a published network, in this folder."""
    if is_cached(network):
        return Path("generated")
    # A relative path is kept where it leads through the run's folder: it is the shorter one to print.
    folder = network.parent if network.parent.name not in ("", "..") else network.absolute().parent.resolve()
    run = RunFolder(folder.parent)
    in_run = run.checkpoints == folder and (run.config.exists() or run.newest_checkpoint() is not None)
    return run.generated if in_run else network.parent / "generated"


def place_of_job(out: Path, swept: Mapping[str, str]) -> Path:
    """Where a job of a sweep writes: a folder of its own, or a zip of its own where `out` is one."""
    job = folder_of_job(swept)
    is_zip = out.suffix.lower() == ".zip" and not out.is_dir()
    return out.with_name(f"{out.stem},{job}{out.suffix}") if job and is_zip else out / job


def folder_of_job(swept: Mapping[str, str]) -> str:
    """A folder for each job of a sweep, as in `truncation=0.5`; empty without a sweep.

    Files are named by their seeds alone, so each job would replace the pictures of the one before.
    """
    words = [f"{key}={value}" for key, value in swept.items() if key != "out"]
    return ",".join(words).replace("/", "_")


def provenance_of(network: Path) -> dict[str, str]:
    """What an image says of its origin: the file, its run, its kimg where the name has it, and our version."""
    place = network.absolute()
    # Runs have files of the same name.
    run = {"run": place.parent.parent.name} if place.parent.name == RunFolder(place).checkpoints.name else {}
    provenance = {"network": network.name, **run, "version": __version__}
    try:
        provenance["kimg"] = f"{images_of(network) / 1000:.3f}"
    except ValueError:
        pass  # A file that was given another name does not tell how long it was trained.
    return provenance
