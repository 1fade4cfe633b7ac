"""Options of the public programs of StyleGAN2-ADA that differ from a key here in more than their name.

In the unit (`--snap` counts ticks), the words (`--aug=noaug`), or the number of keys. Source: their documentation."""

from collections.abc import Callable, Mapping

TRUE, FALSE = ("true", "1", "yes", "on", "y"), ("false", "0", "no", "off", "n")
_TICK_KIMG = "4"  # of the public programs, which count the images between two snapshots in ticks
LENGTH = "the length here is total_kimg, in thousands of images shown"
# What is asked for by words for the newest checkpoint.
NEWEST = ("latest", "last", "newest", *TRUE)
BY_DEFAULT = "resume=auto, the default, does it: a run continues from its newest checkpoint"
_OF_NO_METRIC = ("ls", "eqt50k_int", "eqt50k_frac", "eqr50k")
# There, but with nothing to set here.
WITHOUT_COUNTERPART = {
    "nhwc": "the memory layout is no choice here",
    "cmethod": "of the TensorFlow version alone",
    "dcap": "of the TensorFlow version alone",
    "metricdata": "scores compare with the images of the training",
    "verbose": "the lines are the same always",
}
# Options that may stand without a value, besides those of keys that are true or false.
SWITCHES = (
    *("cond", "grayscale", "greyscale", "gray", "grey", "fp32", "fp16", "bf16", "amp", "dry_run"),
    *("nobench", "nhwc", "verbose", "wandb", "tensorboard", "cpu"),
)
SWITCHES_OF = {"train": ("n",)}
LENGTHS = (
    "epochs",
    "max_epochs",
    "iterations",
    "iter",
    "steps",
    "max_steps",
    "num_train_steps",
    "num_epochs",
)
# How values of a key are called elsewhere, in lower case.
VALUES_ELSEWHERE: dict[str, dict[str, str]] = {
    "data.channels": {
        **dict.fromkeys(("grey", "gray", "greyscale", "grayscale", "mono", "bw", "l"), "1"),
        **dict.fromkeys(("la", "greya", "graya"), "2"),
        **dict.fromkeys(("rgb", "bgr", "color", "colour"), "3"),
        **dict.fromkeys(("rgba", "bgra", "argb"), "4"),
    },
}


class NoCounterpartError(Exception):
    """An option of another program that nothing here stands for; the text says why."""


def truth(value: str) -> bool | None:
    """A boolean as people write it: true or false, 1 or 0, yes or no, on or off; None for anything else."""
    return True if value.lower() in TRUE else False if value.lower() in FALSE else None


# Of one option: its value and all that is given -> words. "" = no value.
_Special = Callable[[str, Mapping[str, str]], list[str]]


def _one_of(words: Mapping[str, str]) -> _Special:
    def typed(value: str, _: Mapping[str, str]) -> list[str]:
        if value not in words:
            raise NoCounterpartError(f"here there are {', '.join(dict.fromkeys(words.values()))}")
        return [words[value]]

    return typed


def _switch(on: str, off: str = "") -> _Special:
    def typed(value: str, _: Mapping[str, str]) -> list[str]:
        known = truth(value or "true")
        if known is None:
            return [on]  # a word of the user's own is asked about where the key is read
        word = on if known else off
        return [word] if word else []

    return typed


def _images(value: str, _: Mapping[str, str]) -> list[str]:
    return ["data=folder", f"data.path={value or '...'}"]


def _labels(value: str, _: Mapping[str, str]) -> list[str]:
    return ["data.labels=none"] if truth(value or "true") is False else ["data=folder", "data.labels=json"]


def _snapshots(value: str, given: Mapping[str, str]) -> list[str]:
    try:
        every_kimg = f"{float(value) * float(given.get('tick', _TICK_KIMG)):g}"
    except ValueError:
        every_kimg = "..."
    return [f"callbacks.{name}.every_kimg={every_kimg}" for name in ("checkpoint", "snapshots")]


def _resume(value: str, _: Mapping[str, str]) -> list[str]:
    if value == "noresume" or truth(value) is False:
        return []
    if value.lower() in ("", *NEWEST):
        raise NoCounterpartError(BY_DEFAULT)
    # What is called so there begins with the weights alone.
    public = ("ffhq", "celebahq", "lsun", "metfaces", "afhq", "brecahad", "cifar10")
    if value.startswith((*public, "http:", "https:")) or value.endswith(
        (".pkl", ".pt", ".pth", ".safetensors")
    ):
        return [f"transfer.path={value}"]
    return [f"resume={value or '...'}"]


def _network(value: str, _: Mapping[str, str]) -> list[str]:
    return [f"network={value or '...'}"]


def _metrics(value: str, _: Mapping[str, str]) -> list[str]:
    names = [name.strip() for name in value.strip("[]").split(",") if name.strip()]
    if strange := [name for name in names if name in _OF_NO_METRIC]:
        raise NoCounterpartError(f"{', '.join(strange)} cannot be computed here")
    return [f"metrics={names[0]}" if len(names) == 1 else f"metrics=[{','.join(names)}]"] if names else []


def _overwritten(value: str, given: Mapping[str, str]) -> list[str]:
    if truth(value or "true") is False:
        return ["overwrite=false"]
    resume = given.get("resume", "never")
    if resume not in ("never", "noresume") and truth(resume) is not False:
        raise NoCounterpartError("overwrite=true begins a new run, and resume continues one")
    return ["resume=never", f"overwrite={truth(value or 'true') and 'true' or value}"]


def _nodes(value: str, _: Mapping[str, str]) -> list[str]:
    if value == "1":
        return []
    raise NoCounterpartError("start the command on each node by torchrun or srun, with trainer=ddp")


def _accelerator(value: str, _: Mapping[str, str]) -> list[str]:
    kind, _, number = value.partition(":")
    kind = "gpu" if kind == "cuda" else kind
    if kind not in ("cpu", "gpu", "auto") or number and not (kind == "gpu" and number.isdecimal()):
        raise NoCounterpartError("here there are trainer=auto, trainer=cpu and trainer=gpu")
    return [f"trainer={kind}", *([f"trainer.devices=[{number}]"] if number else [])]


def _first_images(value: str, _: Mapping[str, str]) -> list[str]:
    if not value.isdecimal() or int(value) < 1:
        raise NoCounterpartError("images are drawn by their seeds, as in seeds=0-15")
    return [f"seeds=0-{int(value) - 1}"]


def _processes(value: str, _: Mapping[str, str]) -> list[str]:
    if value in ("", "1"):
        return []
    raise NoCounterpartError(f"begin the command with torchrun --standalone --nproc_per_node {value}")


_AUGMENTATION = {"ada": "ada=adaptive", "adaptive": "ada=adaptive", "fixed": "ada=fixed"}
_AUGMENTATION |= dict.fromkeys(("noaug", "none", "no", "off", "0", "false"), "ada=none")
_NETWORKS = ("network", "network_pkl", "pkl", "ckpt", "checkpoint")
_PRECISION = {
    "fp32": _switch("precision=fp32", "precision=auto"),
    "fp16": _switch("precision=fp16", "precision=fp32"),
    "bf16": _switch("precision=bf16", "precision=fp32"),
    "amp": _switch("precision=auto", "precision=fp32"),
}
_OF_DATA = {
    **dict.fromkeys(("data", "dataset", "data_dir", "dataset_path", "dataroot"), _images),
    "cond": _labels,
    **dict.fromkeys(
        ("grayscale", "greyscale", "gray", "grey"), _switch("data.channels=1", "data.channels=3")
    ),
    "subset": lambda value, _: ["data=folder", f"data.subset={value or '...'}"],
}
SPECIAL: dict[str, dict[str, _Special]] = {
    "train": {
        **_OF_DATA,
        **_PRECISION,
        **dict.fromkeys(("ada", "aug", "augment"), _one_of(_AUGMENTATION)),
        "snap": _snapshots,
        **dict.fromkeys(("dry_run", "n"), _switch("explain=true", "explain=false")),
        "nobench": _switch("trainer.benchmark=false", "trainer.benchmark=true"),
        "resume": _resume,
        "metrics": _metrics,
        "overwrite": _overwritten,
        "wandb": _switch("logger=wandb"),
        "tensorboard": _switch("logger=default"),
        "cpu": _switch("trainer=cpu"),
        **dict.fromkeys(("device", "accelerator"), _accelerator),
        **dict.fromkeys(("num_nodes", "nnodes", "nodes"), _nodes),
    },
    "generate": {
        **_PRECISION,
        **dict.fromkeys(_NETWORKS, _network),
        **dict.fromkeys(("n", "num", "num_images", "n_images", "count"), _first_images),
    },
    "evaluate": {
        **_OF_DATA,
        **_PRECISION,
        **dict.fromkeys(_NETWORKS, _network),
        "metrics": _metrics,
        **dict.fromkeys(("gpus", "num_gpus", "ngpus", "devices"), _processes),
    },
}
