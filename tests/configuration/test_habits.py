"""Habits: each command that is suggested for another program's options can be typed as it stands.

Composing takes its time, so suggestions that choose the same groups and set other keys are composed together."""

import re
import shlex
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from stylegan.configuration.command_line import CommandLine
from stylegan.configuration.complete import check
from stylegan.configuration.compose import composed
from stylegan.configuration.habits import unknown_word, word_alone
from stylegan.configuration.keys import Command
from stylegan.configuration.other_programs import truth
from stylegan.configuration.schema import COMMANDS, EVALUATE, GENERATE, TRAIN
from stylegan.configuration.user_code import nonsense_in
from stylegan.errors import UserError

# Of the public programs, by their documentation, with values that they take.
OF_TRAIN = [
    *(
        "--outdir=runs",
        "--outdir my runs",
        "--gpus=2",
        "--gpus 1",
        "--snap=4",
        "--snap 50",
        "--tick=2",
        "--seed=3",
    ),
    *("--metrics=fid50k_full", "--metrics none", "--metrics=fid50k_full,kid50k_full", "-n", "--dry-run"),
    *("--data=images.zip", "--data my, pictures=[1]", "--cond=1", "--cond=0", "--subset=100", "--mirror=1"),
    *(
        "--mirror 0",
        "--mirror",
        "--mirror=true",
        "--cfg=auto",
        "--cfg paper256",
        "--cfg=cifar",
        "--cfg=stylegan3-t",
    ),
    *(
        "--gamma=10",
        "--kimg=1000",
        "--batch=16",
        "--batch 8",
        "--aug=ada",
        "--aug=noaug",
        "--aug fixed",
        "--p=0.2",
    ),
    *(
        "--target=0.7",
        "--augpipe=bg",
        "--resume=ffhq256",
        "--resume=noresume",
        "--resume=old.pkl",
        "--freezed=4",
    ),
    *("--fp32=1", "--fp32=0", "--fp32", "--nhwc=1", "--nhwc", "--nobench=1", "--nobench 0", "--allow-tf32=1"),
    *(
        "--workers=2",
        "--batch-gpu=4",
        "--cbase=16384",
        "--cmax=64",
        "--glr=0.002",
        "--dlr=0.001",
        "--map-depth=4",
    ),
    *(
        "--mbstd-group=4",
        "--desc=mine",
        "--res=64",
        "--image-size 128",
        "--epochs=10",
        "--lr=0.001",
        "--dcap=2",
    ),
    *("--total_kimg=5", "--loss.r1_gamma=3", "--preset=tiny", "--xint_max 0.2", "--grayscale=1", "--name=x"),
]
OF_GENERATE = [
    *("--network=a.ckpt", "--network=https://host/ffhq.pkl", "--seeds=0-10", "--seeds 1,5", "--trunc=0.7"),
    *(
        "--outdir=out",
        "--noise-mode=const",
        "--noise-mode=none",
        "--class=1",
        "--projected-w=w.npz",
        "--fp32",
    ),
    *(
        "--rows=85,100",
        "--row-seeds 85-87",
        "--cols=55,821",
        "--styles=0-6",
        "--col-styles 0-3",
        "--target=a.png",
    ),
    *("--num-steps=500", "--save-video=true", "--save-video", "--seed=303", "--grid=4x2", "--w-frames=120"),
    *("--shuffle-seed=7", "--num-keyframes=4", "--output=lerp.mp4", "--output=out/lerp.mp4", "--output=out"),
    *("--grid-w=3", "--duration-sec=10", "--fps=30", "--slowdown=2", "--new-center=5", "--trunc-start=0.5"),
    *(
        "--row-seed=3",
        "--only-stylemix",
        "--seed-sec=3",
        "--interp-type=spherical",
        "--interp-in-z",
        "--smooth",
    ),
    *("--compress", "--available-layers", "--layer=b8.conv0", "--save-grid", "--save-dlatents", "--flesh"),
    *("--project-in-wplus", "--start-wavg", "--projection-seed=3", "--num-clusters=32", "--loss-paper=clip"),
    *(
        "--process=interpolation",
        "--process=truncation",
        "--interpolation=noiseloop",
        "--easing=easeInOutQuad",
    ),
    *("--space=w", "--frames=240", "--frames=200-25", "--diameter=1", "--random_seed=3", "--start=0.5"),
    *("--size=1024-512", "--size=512x512", "--scale-type=symm", "--scale-type=pad", "--cubic", "--gauss"),
    *(
        "--nXY=3-1",
        "--splitfine",
        "--latmask=a.png",
        "--save_lat",
        "--labels=2",
        "--fstep=25",
        "--dlatents=w.npz",
    ),
    *("--degree=5", "--num-semantics=3", "--vector-dir=age.npz", "--increment=0.5", "--process=other"),
]
OF_EVALUATE = [
    *("--network=a.ckpt", "--network=ffhq.pkl", "--metrics=fid50k_full", "--metrics=fid50k_full,eqr50k"),
    *("--metrics=pr50k3_full,is50k", "--data=images.zip", "--mirror=1", "--mirror", "--gpus=2", "--gpus=1"),
    *("--outdir=out", "--trunc=0.5", "--subset=50", "--verbose=1"),
]
OPTIONS = {"train": OF_TRAIN, "generate": OF_GENERATE, "evaluate": OF_EVALUATE}


def answered(command, *options: str) -> tuple[list[str], list[str]]:
    """The words of the command that is suggested, and the lines that say so."""
    # A blank after the flag parts it from its value, whose blanks are its own.
    words = [part for option in options for part in option.split(" ", 1)]
    with pytest.raises(UserError) as caught:
        CommandLine(words, command)
    lines = str(caught.value).splitlines()
    start = f"python {command.name}.py "
    whole = [line.partition(start)[2] for line in lines if start in line]
    return shlex.split(whole[0]) if whole else [], lines


def filled_in(words: list[str]) -> list[str]:
    """A suggested command with something in the place of each `...`, which stands for what the option does not say."""
    return [{"resolution=...": "resolution=64"}.get(word, word.replace("=...", "=x")) for word in words]


def accepted(command, words: list[str]):
    """The configuration of a suggested command, all of it checked."""
    line = CommandLine(words, command)
    composition = composed(command.name, line.overrides)
    if command is TRAIN:
        check(composition, size=64)
    else:
        keys = [*command.keys, *composition.choices, "evaluation"]
        assert list(nonsense_in(composition.config, keys, later={"resolution"})) == []
    return composition


def compose_all(command: Command, suggestions: Iterable[list[str]]) -> None:
    """Each is accepted; those that choose the same groups are composed together, as far as their keys differ."""
    groups = {group.name for group in command.groups}
    lines: list[tuple[set[str], dict[str, str]]] = []
    for words in suggestions:
        words = dict(word.split("=", 1) for word in filled_in(words))
        chosen = {f"{key}={value}" for key, value in words.items() if key in groups}
        for known, line in lines:
            if known == chosen and all(line.get(key, value) == value for key, value in words.items()):
                line |= words
                break
        else:
            lines.append((chosen, words))
    for _, line in lines:
        accepted(command, [f"{key}={value}" for key, value in line.items()])


ISSUED = (
    "--data F --mirror=1 --cfg=paper256 --aug=ada --target 0.7 --gamma=10 --snap=4 --batch 16 --gpus 2 --outdir runs"
    " --kimg 1000 --freezed 4 --resume ffhq256 --cond 1 --subset 100 --seed 3 --fp32 1 --nhwc 1 --dry-run -n"
)


def test_all_options_of_a_command_are_answered_at_once():
    with pytest.raises(UserError) as caught:
        CommandLine(shlex.split(ISSUED), TRAIN)
    whole, left_out = str(caught.value).splitlines()
    assert whole.partition(": python train.py ")[2] == (
        "data=folder data.path=F data.xflip=true preset=paper256 ada=adaptive ada.target=0.7 loss.r1_gamma=10"
        " callbacks.checkpoint.every_kimg=16 callbacks.snapshots.every_kimg=16 batch_size=16 trainer.devices=2"
        " runs_dir=runs total_kimg=1000 discriminator.freeze_layers=4 transfer.path=ffhq256 data.labels=json"
        " data.subset=100 seed=3 precision=fp32 explain=true resolution=..."
    )
    assert left_out == "left out there: --nhwc 1 (the memory layout is no choice here)"
    config = accepted(TRAIN, filled_in(shlex.split(whole.partition("train.py ")[2]))).config
    assert (config.data.path, config.data.xflip, config.trainer.devices, config.ada.target) == (
        "F",
        True,
        2,
        0.7,
    )


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_what_is_suggested_for_an_option_can_be_typed(command):
    suggested = {option: answered(command, option) for option in OPTIONS[command.name]}
    for option, (words, lines) in suggested.items():
        # `data.path=...` stands for images that the option alone does not name.
        assert words or option.partition("=")[0].partition(" ")[0] in "\n".join(lines)
    compose_all(command, (words for words, _ in suggested.values()))


@pytest.mark.long
@settings(max_examples=12, deadline=None)
@given(options=st.lists(st.sampled_from(OF_TRAIN), min_size=2, max_size=12, unique_by=lambda o: o[:5]))
def test_what_is_suggested_for_many_options_can_be_typed(options):
    words, lines = answered(TRAIN, *options)
    assert len(lines) <= max(2, len(options) if not words else 2)
    accepted(TRAIN, filled_in(words))


@settings(max_examples=8, deadline=None)
@given(options=st.lists(st.sampled_from(OF_EVALUATE), min_size=2, unique_by=lambda o: o[:5]))
def test_what_is_suggested_for_many_options_of_a_score_can_be_typed(options):
    words, lines = answered(EVALUATE, *options)
    assert words or lines
    accepted(EVALUATE, filled_in(words))


HABITS = {
    # NVIDIA: generate.py, style_mixing.py, projector.py, gen_video.py
    "--outdir=out --trunc 0.7 --seeds=0-99 --network=x.safetensors": (
        "out=out truncation=0.7 seeds=0-99 network=x.safetensors"
    ),
    "--outdir=out --projected-w=w.npz --network x.safetensors": "out=out seeds=w.npz network=x.safetensors",
    "--rows=85,100,75 --cols=55,821 --styles=0-6 --trunc=1 --network=x.safetensors": (
        "task=style_mixing cols=85,100,75 rows=55,821 layers=0-6 truncation=1 network=x.safetensors"
    ),
    "--target=fox.png --num-steps=500 --seed=303 --save-video=false --outdir=out": (
        "task=projection target=fox.png steps=500 search_seed=303 video=false out=out"
    ),
    "--seed=5 --trunc=1": "seeds=5 truncation=1",
    "--output=lerp.mp4 --trunc=1 --seeds=0-31 --grid=4x2 --w-frames=90": (
        "task=interpolation path=through space=w curve=cubic loop=true format=mp4 truncation=1 seeds=0-31 grid=4x2"
        " leg_sec=1.5 fps=60"
    ),
    # PDillis
    "--seeds=1,2,5 --seed-sec=3 --interp-type=linear --interp-in-z=false --smooth": (
        "task=interpolation seeds=1,2,5 leg_sec=3 curve=linear space=w easing=in-out-sine"
    ),
    "--seeds=7 -gw=3 -gh=2 --duration-sec=10 --slowdown=2": (
        "task=interpolation seeds=7 grid=3x2 duration_sec=10 slowdown=2"
    ),
    "--row-seed=85 --col-seeds=55,821 --col-styles=coarse --only-stylemix": (
        "task=style_mixing rows=85 format=mp4 cols=55,821 layers=coarse only_mix=true"
    ),
    "random-video --seeds=0-5 --grid-w=3 --grid-h=2 --fps=60": (
        "task=interpolation path=walk seeds=0-5 grid=3x2 fps=60"
    ),
    "circular-video --seeds=0 -gw=3 -gh=2 --new-center=5": (
        "task=interpolation path=circle seeds=0 grid=3x2 center=5"
    ),
    "sightseeding --seeds=1,5,1 --seed-sec=4": "task=interpolation path=through seeds=1,5,1 leg_sec=4",
    "style-mixing-video --row-seed=85 --col-seeds=55,821": (
        "task=style_mixing format=mp4 rows=85 cols=55,821"
    ),
    "generate-images --seeds=3 --truncation-psi=0.5": "task=images seeds=3 truncation=0.5",
    # dvschultz
    "--process=interpolation --interpolation=linear --easing=circularEaseOut2 --seeds=1,2": (
        "task=interpolation curve=linear easing=in-out-circular seeds=1,2"
    ),
    "--process=interpolation --seeds=1-5 --frames=48 --interpolation=slerp --easing=easeInOutQuad --space=w": (
        "task=interpolation seeds=1-5 leg_sec=2 fps=24 curve=slerp easing=in-out-quad space=w"
    ),
    "--process=interpolation --interpolation=circularloop --random_seed=3 --frames=240": (
        "task=interpolation path=circle seeds=3 duration_sec=10 fps=24"
    ),
    "--process=truncation --start=0 --stop=1 --increment=0.25 --seeds=4": (
        "task=truncation psis=0,0.25,0.5,0.75,1 seeds=4"
    ),
    # eps696
    "--model=x.safetensors --out_dir=o --frames=200-25 --cubic": (
        "task=interpolation network=x.safetensors out=o path=through seeds=0-7 leg_sec=1 fps=25 loop=true curve=cubic"
    ),
}


@pytest.mark.parametrize("options", HABITS)
def test_a_whole_command_of_another_program_is_answered_with_the_same_here(options):
    words, lines = answered(GENERATE, *re.split(" (?=-)", options))
    assert lines[0].partition("generate.py ")[2] == HABITS[options] and len(lines) == 1
    accepted(GENERATE, words)


def test_rows_and_columns_that_change_places_are_remarked():
    _, (line,) = answered(GENERATE, "--rows=1", "--cols=2")
    assert "rows give layers to columns here, so the two change places" in line
    _, (line,) = answered(GENERATE, "--row-seed=1", "--col-seeds=2")
    assert "change places" not in line


@pytest.mark.parametrize(
    ("word", "here"),
    [
        ("projected_w=w.npz", "seeds=w.npz"),
        ("frames=48", "task=interpolation leg_sec=2 fps=24"),
        ("interp_in_z=1", "task=interpolation space=z"),
        ("random_seed=4", "seeds=4"),
    ],
)
def test_a_key_of_the_artists_programs_is_typed_here_with_its_value(word, here):
    assert unknown_word(word, GENERATE).partition("; here it is ")[2] == here


def test_what_has_no_counterpart_says_what_there_is():
    words, lines = answered(
        GENERATE, "--seeds=0-3", "--shuffle-seed=1", "--latmask=a.png", "--scale-type=pad"
    )
    assert words == ["seeds=0-3"]
    assert "--shuffle-seed 1 (seeds come in the order" in lines[1] and "frame of a timeline" in lines[1]
    assert "here there are canvas_mode=mirror, canvas_mode=tile" in lines[1]


def test_snapshots_are_counted_in_ticks_there_and_in_kimg_here():
    words, _ = answered(TRAIN, "--snap=10", "--tick=2")
    assert words == [
        f"callbacks.{name}.every_kimg={kimg}"
        for name, kimg in (("checkpoint", 20), ("snapshots", 20), ("stats", 2))
    ]


def test_words_that_are_right_stay_and_blanks_are_quoted():
    words, lines = answered(TRAIN, "--data my pictures", "preset=tiny", "kimg=5", "-m", "seed=1,2")
    assert words == [
        "data=folder",
        "data.path=my pictures",
        "preset=tiny",
        "total_kimg=5",
        "-m",
        "seed=1,2",
        "resolution=...",
    ]
    assert "'data.path=my pictures'" in lines[0]


def test_a_size_is_asked_for_where_none_is_said():
    """Pictures of mixed sizes have none of their own, and of an option alone it is not known whether they do."""
    assert answered(TRAIN, "--data=F")[0] == ["data=folder", "data.path=F", "resolution=..."]
    assert answered(TRAIN, "--data=F", "--res=64")[0] == ["data=folder", "data.path=F", "resolution=64"]
    assert answered(EVALUATE, "--data=F")[0] == ["data=folder", "data.path=F"]


@pytest.mark.parametrize("network", ["ffhq256", "old.pkl", "https://host/ffhq.pkl"])
def test_a_network_of_another_program_is_what_a_new_run_begins_with(network):
    assert answered(TRAIN, f"--resume={network}")[0] == [f"transfer.path={network}"]


@pytest.mark.parametrize("option", ["--resume=latest", "--resume LAST", "--resume=true", "--resume"])
def test_the_newest_checkpoint_is_what_is_resumed_anyway(option):
    words, (line,) = answered(TRAIN, option)
    assert not words and "resume=auto, the default, does it" in line
    assert answered(TRAIN, option, "--kimg=5")[0] == ["total_kimg=5"]
    assert answered(TRAIN, "--resume=no", "--overwrite")[0] == ["resume=never", "overwrite=true"]


@pytest.mark.parametrize(
    ("options", "kept", "left_out"),
    [
        (("--project=x", "logger=none"), ["logger=none"], "--project x"),
        (("logger=none", "--project=x"), ["logger=none"], "--project x"),
        (("--logger=none", "--project=x"), ["logger=none"], "--project x"),
        (("--wandb", "logger=none"), ["logger=none"], "--wandb"),
        (("--wandb", "--logger=none"), ["logger=none"], "--wandb"),
        (("--data=F", "data=flowers"), ["data=flowers"], "--data F"),
        (("--device=cuda:1", "trainer=cpu"), ["trainer=cpu"], "--device cuda:1"),
    ],
)
def test_an_option_that_needs_another_choice_of_a_group_is_left_out(options, kept, left_out):
    words, lines = answered(TRAIN, *options)
    assert words == kept
    assert (
        f"left out there: {left_out} (here it is " in lines[1] and f"and {kept[0]} is given, too" in lines[1]
    )
    accepted(TRAIN, words)


def test_the_same_choice_of_a_group_is_no_other_one():
    assert answered(TRAIN, "--project=x", "logger=wandb")[0] == ["logger=wandb", "logger.wandb.project=x"]


def test_a_path_alone_is_a_word_of_the_command_that_has_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "messy").mkdir(parents=True)
    (tmp_path / "runs" / "messy" / "config.yaml").touch()
    (tmp_path / "foxes").mkdir()
    for name in ("set.zip", "a.ckpt"):
        (tmp_path / name).touch()
    here = {
        (GENERATE, "runs/messy"): "network=runs/messy",
        (GENERATE, "runs/gone"): "network=runs/gone",
        (EVALUATE, "a.ckpt"): "network=a.ckpt",
        (TRAIN, "runs/messy"): "resume=runs/messy",
        (TRAIN, "a.ckpt"): "resume=a.ckpt",
        (TRAIN, "foxes"): "data=folder data.path=foxes",
        (TRAIN, "set.zip"): "data=folder data.path=set.zip",
    }
    for (command, word), meant in here.items():
        line = word_alone(word, command)
        assert line == f"{word}: every word is key=value, as in seed=1; here it is {meant}"
        accepted(command, shlex.split(meant))
    assert [word_alone(word, TRAIN) for word in ("zebras", "runs/gone", "seed=1")] == [None] * 3
    assert answered(GENERATE, "runs/messy", "--seeds=3")[0] == ["network=runs/messy", "seeds=3"]


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_help_alone_names_the_flag(command):
    assert word_alone("help", command) == f"help: python {command.name}.py --help shows all that can be set"


@pytest.mark.parametrize(
    ("word", "here"),
    [
        ("fp32=true", "precision=fp32"),
        ("fp32=0", "precision=auto"),
        ("aug=ada", "ada=adaptive"),
        ("aug=noaug", "ada=none"),
        ("dry-run=1", "explain=true"),
        ("dry_run=false", "explain=false"),
        ("grayscale=1", "data.channels=1"),
        ("gray=yes", "data.channels=1"),
        ("cond=1", "data=folder data.labels=json"),
        ("mirror=1", "data.xflip=true"),
        ("kimg=1000", "total_kimg=1000"),
        ("cfg=paper256", "preset=paper256"),
        ("data_path=my pics", "data=folder 'data.path=my pics'"),
        ("nobench=1", "trainer.benchmark=false"),
        ("snap=50", "callbacks.checkpoint.every_kimg=200 callbacks.snapshots.every_kimg=200"),
        ("lr=0.002", "optim.generator_lr=0.002 optim.discriminator_lr=0.002"),
        ("xflip_=1", None),
        ("seed=3", None),
        ("resolutoin=64", None),
        ("foxes", None),
    ],
)
def test_a_key_of_other_programs_is_typed_here_with_its_value(word, here):
    line = unknown_word(word, TRAIN)
    assert (line and line.partition("; here it is ")[2]) == here
    if here:
        accepted(TRAIN, [*shlex.split(here), *(["data.path=x"] if "data.labels" in here else [])])


@pytest.mark.parametrize("command", [GENERATE, EVALUATE])
def test_a_key_is_that_of_its_command(command):
    assert unknown_word("outdir=x", command) == "there is no key outdir; here it is out=x"
    assert unknown_word("gamma=1", command) is None


def test_another_unit_is_not_passed_off_as_ours():
    assert "thousands of images" in unknown_word("epochs=10", TRAIN)
    assert "=10" not in unknown_word("epochs=10", TRAIN)


BOOLEANS = {
    "1": True,
    "yes": True,
    "on": True,
    "On": True,
    "true": True,
    "0": False,
    "no": False,
    "OFF": False,
}


@pytest.mark.parametrize(("text", "value"), BOOLEANS.items())
@pytest.mark.parametrize(
    ("command", "words", "keys"),
    [
        (
            TRAIN,
            ["data=folder", "data.path=x", "logger=wandb"],
            [
                *("data.xflip", "data.balanced", "tf32", "explain", "rederive", "compile", "data.cache"),
                *("callbacks.metrics.report", "logger.wandb.offline", "trainer.benchmark"),
            ],
        ),
        (EVALUATE, ["data=folder", "data.path=x"], ["report", "again", "data.xflip"]),
    ],
)
def test_a_boolean_may_be_a_number_or_a_word(command, words, keys, text, value):
    config = accepted(command, [*words, *(f"{key}={text}" for key in keys)]).config
    assert {key: OmegaConf.select(config, key) for key in keys} == dict.fromkeys(keys, value)
    assert all(isinstance(OmegaConf.select(config, key), bool) for key in keys)


def test_other_values_are_no_booleans():
    assert [truth(text) for text in ("2", "maybe", "", "auto", "truee")] == [None] * 5
    with pytest.raises(UserError, match="data.xflip must be true or false, got 2"):
        accepted(TRAIN, ["data.xflip=2"])
    assert accepted(TRAIN, ["compile=auto"]).config.compile == "auto"


@pytest.mark.parametrize(("value", "near"), [("rgba", 4), ("RGB", 3), ("grey", 1), ("la", 2)])
def test_channels_by_their_names_are_answered_with_their_number(value, near):
    with pytest.raises(UserError, match=f"got '{value}'; did you mean data.channels={near}\\?$"):
        accepted(TRAIN, [f"data.channels={value}"])


def test_a_recipe_may_say_1_for_true(tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\ndata: {xflip: 1}\n")
    assert composed("train", ["experiment=mine"], config_dir=str(tmp_path)).config.data.xflip is True


@pytest.mark.parametrize("value", ["1", "true", "[json]"])
def test_a_value_that_is_no_word_is_answered_with_the_words(value):
    with pytest.raises(
        UserError, match="data.labels must be text, got .*; there are none .* json = dataset.json"
    ):
        accepted(TRAIN, ["data=folder", "data.path=x", f"data.labels={value}"])
