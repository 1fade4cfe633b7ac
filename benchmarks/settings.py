"""What is measured: named settings, and any other by its resolution, preset, batch and precision."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

PRECISIONS = ("auto", "fp32", "bf16", "fp16")


@dataclass(frozen=True)
class Setting:
    """A training to be timed.

    overrides: words of the train command. p: probability of each augmentation, held fixed.
    """

    name: str
    resolution: int
    preset: str
    batch: int
    precision: str = "auto"
    overrides: Sequence[str] = field(default_factory=tuple)
    p: float = 0.6

    @property
    def words(self) -> list[str]:
        """The whole command line of the training."""
        return [
            f"preset={self.preset}",
            f"resolution={self.resolution}",
            f"batch_size={self.batch}",
            "micro_batch=null",
            "data=flowers",
            "augpipe=bgc",
            "ada=fixed",
            f"ada.p_init={self.p}",
            f"precision={self.precision}",
            *self.overrides,
        ]


_WIDE = (
    *("generator.channel_base=16384", "discriminator.channel_base=16384"),
    *("generator.z_dim=512", "generator.w_dim=512", "generator.mapping_layers=2"),
)
NAMED = {
    "A": Setting("A", resolution=64, preset="auto", batch=8, overrides=_WIDE),
    "B": Setting("B", resolution=32, preset="tiny", batch=32),
}


# What a setting may say besides what it needs: words of the train command.
_SIZES = ("resolution", "preset", "batch")
_FLAGS = ("compile", "activation_checkpointing", "tf32")
_OPTIONS = ("precision", "micro_batch", *_FLAGS)


def parse_setting(text: str) -> Setting:
    """`A`, `B` or `resolution=64,preset=tiny,batch=8`, and after a comma `precision=fp32`, `micro_batch=8`,
    `compile=true`, `activation_checkpointing=true` or `tf32=true`.

    Raises: ValueError that names the word and what there is.
    """
    name, *words = text.split(",")
    named = NAMED.get(name)
    values = {}
    for word in words if named else [name, *words]:
        key, equals, value = word.partition("=")
        if not equals or key not in (*(() if named else _SIZES), *_OPTIONS):
            raise ValueError(
                f"--setting {text}: {word or 'nothing'} is neither one of {', '.join(NAMED)} nor resolution=,"
                f" preset=, batch= or, after either, {'=, '.join(_OPTIONS)}=, joined by commas"
            )
        values[key] = value
    options = {"precision": "auto"} | {key: values[key] for key in _OPTIONS if key in values}
    if options["precision"] not in PRECISIONS:
        raise ValueError(f"--setting {text}: precision must be one of {', '.join(PRECISIONS)}")
    for key in _FLAGS:
        if options.get(key, "true") not in ("true", "false"):
            raise ValueError(f"--setting {text}: {key} must be true or false, got {options[key]}")
    if not _is_count(options.get("micro_batch", "1")):
        raise ValueError(
            f"--setting {text}: micro_batch must be a whole number above 0, got {options['micro_batch']}"
        )
    flags = [f"{key}={options[key]}" for key in ("micro_batch", *_FLAGS) if key in options]
    if named:
        overrides = (*named.overrides, *flags)
        return replace(named, name=text, precision=options["precision"], overrides=overrides)
    if missing := [key for key in _SIZES if key not in values]:
        raise ValueError(f"--setting {text}: {', '.join(missing)} must be given, too")
    for key in ("resolution", "batch"):
        if not _is_count(values[key]):
            raise ValueError(f"--setting {text}: {key} must be a whole number above 0, got {values[key]}")
    return Setting(
        name=text,
        resolution=int(values["resolution"]),
        preset=values["preset"],
        batch=int(values["batch"]),
        precision=options["precision"],
        overrides=tuple(flags),
    )


def _is_count(text: str) -> bool:
    return text.isdecimal() and int(text) > 0
