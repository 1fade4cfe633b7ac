"""Options as people spell them: whatever is suggested for one is a command that is accepted."""

from collections.abc import Iterator
from types import NoneType
from typing import get_args, get_origin

import pytest
from omegaconf import DictConfig, OmegaConf

from stylegan.configuration.command_line import FLAGS
from stylegan.configuration.compose import composed
from stylegan.configuration.keys import Command, Key
from stylegan.configuration.schema import COMMANDS, EVALUATE, GENERATE, TRAIN
from tests.configuration.test_habits import answered, compose_all

# Option -> the words of the suggested command.
OF_TRAIN = {
    "--gpus=0,1": "trainer.devices=[0,1]",
    "--gpus 0 1": "trainer.devices=[0,1]",
    "--gpus=[0,1]": "trainer.devices=[0,1]",
    "--gpus=1,": "trainer.devices=[1]",
    "--gpus=2": "trainer.devices=2",
    "--num-gpus=2": "trainer.devices=2",
    "--devices 2": "trainer.devices=2",
    "--betas=0,0.99": "optim.betas=[0,0.99]",
    "--betas 0 0.99": "optim.betas=[0,0.99]",
    "--betas=(0.0,0.99)": "optim.betas=[0.0,0.99]",
    "--optim.betas=[0,0.99]": "optim.betas=[0,0.99]",
    "--allow-change=loss": "allow_change=[loss]",
    "--allow-change=loss,optim.betas": "allow_change=[loss,optim.betas]",
    "--imgfilter-bands=1,1,1,1": "augpipe.imgfilter_bands=[1,1,1,1]",
    "--res=48,32": "resolution=[48,32]",
    "--resolution 48 32": "resolution=[48,32]",
    "--size=48x32": "resolution=48x32",
    "--conv-clamp=None": None,
    "--ramp-up=None": "ema.ramp_up=null",
    "--metrics=[kid,fid]": "metrics=[kid,fid]",
    "--include=a,b": "data=folder data.include=[a,b] data.path=... resolution=...",
    "--project=x": "logger=wandb logger.wandb.project=x",
    "--entity=x": "logger=wandb logger.wandb.entity=x",
    "--tags=a,b": "logger=wandb logger.wandb.tags=[a,b]",
    "--wandb-project=x": "logger=wandb logger.wandb.project=x",
    "--offline": "logger=wandb logger.wandb.offline=true",
    "--wandb": "logger=wandb",
    "--wandb=true": "logger=wandb",
    "--tensorboard": "logger=default",
    "--overwrite": "resume=never overwrite=true",
    "--overwrite=1": "resume=never overwrite=true",
    "--overwrite=no": "overwrite=false",
    "--xflip=1": "data.xflip=true",
    "--mirror-augment": "data.xflip=true",
    "--num-items=20": "data.num_items=20",
    "--num-workers=2": "data.workers=2",
    "--result-dir=out": "runs_dir=out",
    "--augment_p=0.2": "ada.p_init=0.2",
    "--aug-prob 0.2": "ada.p_init=0.2",
    "--ada-target=0.6": "ada.target=0.6",
    "--r1=10": "loss.r1_gamma=10",
    "--ema-kimg=10": "ema.half_life_kimg=10",
    "--cpu": "trainer=cpu",
    "--device=cuda:1": "trainer=gpu trainer.devices=[1]",
    "--num-nodes=1": None,
    "--every-kimg=1": None,
}
OF_GENERATE = {
    "--n 5": "seeds=0-4",
    "--num=5": "seeds=0-4",
    "--ckpt=a.ckpt": "network=a.ckpt",
    "--checkpoint a.ckpt": "network=a.ckpt",
    "--ckpt=a.pkl": "network=a.pkl",
    "--output=x": "out=x",
    "--overwrite": "overwrite=true",
}
OF_EVALUATE = {
    "--ckpt=a.ckpt": "network=a.ckpt",
    "--output=x": "out=x",
    "--num-gpus=1": None,
    "--num-gpus=2": None,
    "--devices=2": None,
    "--metrics=kid,fid": "metrics=[kid,fid]",
}
SPELLINGS = {"train": OF_TRAIN, "generate": OF_GENERATE, "evaluate": OF_EVALUATE}


def suggestion(command: Command, option: str) -> list[str]:
    words = option.split(" ") if option.startswith(("--gpus ", "--betas ", "--resolution ")) else [option]
    return answered(command, *words)[0]


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_what_is_suggested_for_a_spelling_is_accepted(command):
    found = {option: suggestion(command, option) for option in SPELLINGS[command.name]}
    for option, words in SPELLINGS[command.name].items():
        assert found[option] == (words or "").split(), option
    compose_all(command, found.values())


@pytest.mark.long
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_key_or_alias_with_dashes_before_it_is_answered_with_what_is_accepted(command):
    kinds = (
        [[]]
        if command is GENERATE
        else [["data=folder"], ["data=flowers", "logger=wandb"][: 1 + (command is TRAIN)]]
    )
    defaults = [composed(command.name, words).config for words in kinds]
    options = [
        f"--{spelled}={_good(key, defaults)}"
        for key in command.keys.values()
        for spelled in (key.name, key.leaf, key.name.replace(".", "-"), *key.alias)
        # As in `--xflip`, which is the images' and no transform, or in `--r1_gamma`, which is no course of it.
        if f"--{spelled}" not in FLAGS
        and (
            spelled != key.leaf
            or not ({*command.called(spelled)} - {key.name} or key.name.startswith("schedules."))
        )
    ]
    found = {option: answered(command, option) for option in dict.fromkeys(options)}
    for option, (words, lines) in found.items():
        # A command, or the reason why there is none, which names the option.
        assert words or option.partition("=")[0] in lines[0], (option, lines)
    # With ada=adaptive a course of p is refused, in a line that names ada=fixed.
    needed = {"schedules.ada.p_init": ["ada=fixed"]}
    compose_all(
        command,
        (
            [*words, *needed.get(words[0].partition("=")[0], [])] if words else words
            for words, _ in found.values()
        ),
    )


def _good(key: Key, defaults: list[DictConfig]) -> str:
    """A value that the key takes: an example, its own, or one of its type."""
    for config in defaults:
        value = OmegaConf.select(config, key.name) if not OmegaConf.is_missing(config, key.name) else None
        if value is not None and not key.example:
            return str(value).replace(" ", "").replace("'", "")
    kinds = [kind for kind in (get_args(key.type) or (key.type,)) if kind is not NoneType]
    if get_origin(key.type) is list or key.example:
        return key.example
    return "1" if {int, float, bool} & {*kinds} else "x"


def refusals(command: Command, *options: str) -> Iterator[str]:
    words, lines = answered(command, *options)
    assert not words
    yield from lines


@pytest.mark.parametrize("value", ["-1", "all", "auto", "0"])
def test_a_number_of_devices_that_is_not_said_is_left_out_with_the_reason(value):
    assert "trainer.devices=[0,1]" in " ".join(refusals(TRAIN, f"--gpus={value}"))
    words, lines = answered(TRAIN, f"--gpus={value}", "--kimg=5")
    assert words == ["total_kimg=5"] and "--gpus" in lines[1]


def test_what_the_command_alone_sets_is_left_out_and_never_proposed():
    assert "set runs_dir=... and name=..." in " ".join(refusals(TRAIN, "--run-dir=x"))
    assert "data_fingerprint" not in " ".join(refusals(TRAIN, "--data-fingerprin=x"))


def test_a_new_run_and_one_that_continues_are_not_one_command():
    words, lines = answered(TRAIN, "--overwrite", "--resume=runs/x")
    assert words == ["resume=runs/x"] and "--overwrite" in lines[1]


def test_a_word_alone_is_no_part_of_a_command():
    for command, word in ((TRAIN, "F"), (GENERATE, "5"), (EVALUATE, "x.ckpt")):
        words, lines = answered(command, "runs_dir=x", word, "--precision=fp32")
        assert words == ["runs_dir=x", "precision=fp32"] and word in lines[1]
