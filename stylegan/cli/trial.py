"""The process that `micro_batch=auto` starts: it measures what an iteration takes, says so, and ends.

It reads a complete configuration from its input, and writes one line of JSON at the end of its output: what
`stylegan.training.trial` returns, or `{"fault": ...}`.
"""

import json
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.utils import call, instantiate
from omegaconf import DictConfig, OmegaConf

from stylegan.cli.children import end_with_starter
from stylegan.cli.fitting import devices_of, quiet_lightning
from stylegan.cli.host import prepare_host
from stylegan.cli.mistakes import explain


def main() -> int:
    # Who types Ctrl-C means the command, which ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_starter()
    prepare_host()
    with suppress(OSError):
        # Where the machine has no memory left the kernel shall end this process, and no other.
        Path("/proc/self/oom_score_adj").write_text("1000")
    quiet_lightning()
    print(json.dumps(_report(OmegaConf.create(sys.stdin.read()))), flush=True)
    return 0


def _report(config: DictConfig) -> dict[str, Any]:
    try:
        trainer = instantiate(
            config.trainer,
            devices=_one_of(config.trainer.devices),
            num_nodes=1,
            strategy="auto",
            logger=False,
            enable_checkpointing=False,
        )
        module = instantiate(config.module)
        return call({"_target_": "stylegan.training.trial.trial"}, module, trainer, devices_of(config))
    except Exception as error:
        told = explain(error)
        if told is None:
            raise
        return {"fault": told}


def _one_of(devices: Any) -> Any:
    """The first one; the others get as much to do."""
    return [devices[0]] if isinstance(devices, Sequence) and not isinstance(devices, str) else 1


if __name__ == "__main__":
    sys.exit(main())
