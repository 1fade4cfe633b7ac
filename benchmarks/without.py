"""What each change of the hot path brings: the same training with one of them left out, in turn with the whole.

`python -m benchmarks.without --setting B --json without.json`
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from copy import deepcopy
from functools import partial
from pathlib import Path
from unittest.mock import patch

from stylegan.machine.process import prepare_host

prepare_host()

import torch  # noqa: E402  (its runtimes read at once what is prepared)
import torch.nn.functional as F  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402
from torch import Tensor  # noqa: E402

from benchmarks.settings import NAMED, Setting, parse_setting  # noqa: E402
from benchmarks.timing import interleaved  # noqa: E402
from benchmarks.training import SHARES, Training  # noqa: E402
from stylegan.machine.files import replacing  # noqa: E402
from stylegan.training.gradients import FlatGradients  # noqa: E402
from stylegan.training.networks import Discriminated, Networks  # noqa: E402


def plain_convolution(
    x: Tensor,
    w: Tensor,
    bias: Tensor | None = None,
    *,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    transposed: bool = False,
    gain: float = 1.0,
) -> Tensor:
    """`convolve`, its derivatives left to autograd."""
    w = w.to(x.dtype) * gain if gain != 1 else w.to(x.dtype)
    bias = None if bias is None else bias.to(x.dtype)
    if transposed:
        return F.conv_transpose2d(x, w.transpose(0, 1), bias, stride=stride, padding=padding)
    return F.conv2d(x, w, bias, stride=stride, padding=padding)


def _repair(gradients: FlatGradients) -> Tensor:
    bad = (~torch.isfinite(gradients.vector)).sum()
    torch.nan_to_num(gradients.vector, nan=0.0, posinf=1e5, neginf=-1e5, out=gradients.vector)
    return bad


@contextmanager
def _weight_gradients_everywhere() -> Iterator[None]:
    with ExitStack() as stack:
        for name in ("path_length", "r1"):
            stack.enter_context(patch(f"stylegan.losses.{name}.without_weight_gradients", nullcontext))
        yield


@contextmanager
def _discriminated_apart() -> Iterator[None]:
    def apart(self: Networks, fakes: Discriminated, reals: Discriminated) -> tuple[Tensor, Tensor]:
        return self.discriminate(*fakes), self.discriminate(*reals)

    with patch.object(Networks, "discriminate_both", apart):
        yield


LEFT_OUT: dict[str, Callable[[], AbstractContextManager]] = {
    "nothing": nullcontext,
    "the upsampling filter's float32": partial(
        patch, "stylegan.ops.upfirdn2d.lacks_fast_transposed", lambda x: False
    ),
    "own derivatives of convolutions": partial(
        patch, "stylegan.ops.conv2d_resample.convolve", plain_convolution
    ),
    "penalties without weight gradients": _weight_gradients_everywhere,
    "fakes and reals in one pass": _discriminated_apart,
    "a limit that is looked for first": partial(
        patch, "stylegan.ops.bias_act._exceeds", lambda y, clamp: True
    ),
    "bad gradients found in one pass": partial(patch.object, FlatGradients, "repair", _repair),
}
PREPARED = "weights cast and summed once"


def compared(setting: Setting, device: torch.device, *, rounds: int) -> dict[str, dict[str, float]]:
    """Seconds of each phase, of an `iteration` and of `generate`, by what is left out."""
    training = Training(setting, device)
    plain = deepcopy(training.module.generator_ema)

    def work(name: str, phase: str) -> Callable[[], None]:
        def run() -> None:
            with LEFT_OUT[name]():
                training.phase(phase)

        return run

    # A setting without path length has no such phase.
    shares = {phase: share for phase, share in SHARES.items() if phase in training.works}
    works = {(name, phase): work(name, phase) for name in LEFT_OUT for phase in shares}
    works["nothing", "generate"] = training.generate
    works[PREPARED, "generate"] = partial(training.generate, plain)
    with training.drawing():
        seconds = interleaved(works, device, rounds=rounds)
    table: dict[str, dict[str, float]] = {}
    for (name, phase), value in seconds.items():
        table.setdefault(name, {})[phase] = value
    for name in LEFT_OUT:
        table[name]["iteration"] = sum(share * table[name][phase] for phase, share in shares.items())
    return table


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.without", description=__doc__)
    parser.add_argument("--setting", default="B", help=f"{', '.join(NAMED)}, or as in python -m benchmarks")
    parser.add_argument("--json", type=Path, help="where the figures are written")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(argv)
    if options.rounds < 1:
        parser.error(f"--rounds must be at least 1, got {options.rounds}")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        setting = parse_setting(options.setting)
    except ValueError as error:
        parser.error(str(error))
    seconds = compared(setting, device, rounds=options.rounds)
    whole = seconds["nothing"]
    ratios = {
        name: {work: value / whole[work] for work, value in works.items()} for name, works in seconds.items()
    }
    table = Table(title=f"setting {setting.name}: times without ..., the whole being 1")
    for name in ("left out", *whole):
        table.add_column(name)
    for name, works in ratios.items():
        table.add_row(name, *(f"{works[work]:.3f}" if work in works else "-" for work in whole))
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    if options.json is not None:
        with replacing(options.json) as file:
            file.write((json.dumps({"setting": setting.name, "ratios": ratios}, indent=2) + "\n").encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
