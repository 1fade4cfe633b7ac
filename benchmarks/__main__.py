"""Measures settings, prints a table, and writes JSON: `python -m benchmarks --setting B --json b.json`."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stylegan.machine.process import prepare_host

prepare_host()

import torch  # noqa: E402  (its runtimes read at once what is prepared)
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from benchmarks.beside import loading, whole_run  # noqa: E402
from benchmarks.measure import measured  # noqa: E402
from benchmarks.settings import NAMED, Setting, parse_setting  # noqa: E402
from stylegan.configuration.hydra_errors import explain  # noqa: E402
from stylegan.errors import EXIT_USER_ERROR  # noqa: E402
from stylegan.machine.files import replacing  # noqa: E402


def main(argv: Sequence[str] | None = None) -> int:
    """Returns: the exit code; 2 for a mistake of the user's."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--setting",
        action="append",
        help=f"{', '.join(NAMED)} or resolution=64,preset=tiny,batch=8; then ,precision=fp32, ,micro_batch=8 or"
        " ,compile=true; may be repeated",
    )
    parser.add_argument("--json", type=Path, help="where the figures are written")
    parser.add_argument(
        "--rounds", type=int, default=5, help="medians are of this many turns; at least 5 to state"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--beside", action="store_true", help="also loading, start-up, checkpoint and grid")
    options = parser.parse_args(argv)
    if options.rounds < 1:
        parser.error(f"--rounds must be at least 1, got {options.rounds}")
    found = torch.cuda.is_available()
    if options.device == "cuda" and not found:
        parser.error("--device cuda: torch finds no GPU here; --device cpu measures without")
    device = torch.device("cuda" if found and options.device != "cpu" else "cpu")
    try:
        settings = [parse_setting(text) for text in options.setting or NAMED]
        results = [_one(setting, device, options) for setting in settings]
    except Exception as error:
        line = str(error) if isinstance(error, ValueError) else explain(error)
        if line is None:
            raise
        print(f"benchmarks: {line}", file=sys.stderr)
        return EXIT_USER_ERROR
    _show(results)
    if options.json is not None:
        written = results[0] if len(results) == 1 else {"settings": results}
        with replacing(options.json) as file:
            file.write((json.dumps(written, indent=2) + "\n").encode())
    return 0


def _one(setting: Setting, device: torch.device, options: argparse.Namespace) -> dict[str, Any]:
    print(f"measuring {setting.name} on {device.type} ...", file=sys.stderr, flush=True)
    result = measured(setting, device, rounds=options.rounds)
    if options.beside:
        result["loading_images_per_s"] = loading(setting, cached=False)
        result["loading_cached_images_per_s"] = loading(setting, cached=True)
        result |= whole_run(setting, device, rounds=min(options.rounds, 3))
    return result


def _show(results: Sequence[dict[str, Any]]) -> None:
    table = Table(title="medians of interleaved rounds; ms a phase, images a second")
    phases = ("Gmain", "Greg", "Dmain", "Dreg")
    for name in (
        "setting",
        *phases,
        "training/s",
        "generation/s",
        "GFLOP an image",
        "precision",
        "attainable GFLOP/s",
    ):
        table.add_column(name)
    table.add_column("of it")
    table.add_column("peak GiB")
    for result in results:
        times = result["phase_ms"]
        table.add_row(
            result["setting"],
            *(f"{times[name]:.1f}" if name in times else "-" for name in phases),
            f"{result['train_images_per_s']:.2f}",
            f"{result['generate_images_per_s']:.1f}",
            f"{result['train_gflop_per_image']:.2f}",
            result["precision"],
            f"{result['attainable_gflops']:.0f}",
            f"{result['fraction_of_attainable']:.0%}",
            f"{result['peak_memory_gb']:.2f}",
        )
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(table)
    for result in results:
        if "first_step_sec" in result:
            console.print(
                f"{result['setting']}: loading {result['loading_images_per_s']:.0f} images/s, from memory"
                f" {result['loading_cached_images_per_s']:.0f}; first step after {result['first_step_sec']:.1f} s,"
                f" checkpoint {result['checkpoint_sec']:.2f} s, grid {result['grid_sec']:.2f} s"
            )


if __name__ == "__main__":
    sys.exit(main())
