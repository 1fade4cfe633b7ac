"""Options of the public programs that draw images and videos, as they are typed for the generate command.

Those of NVIDIA's generate.py, style_mixing.py, projector.py and gen_video.py, and of the forks by PDillis, dvschultz
and eps696; `docs/other_tools.md` has the whole table. Here are those that differ from a key in more than their name.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath

from stylegan.configuration.other_programs import NoCounterpartError, truth

Special = Callable[[str, Mapping[str, str]], list[str]]

# Of gen_video.py, whose rate is fixed, of dvschultz' and of eps696's programs.
_GEN_VIDEO_FPS, _DVSCHULTZ_FPS, _EPS696_FPS = 60, 24, 25
_VIDEOS = (".mp4", ".webm", ".gif", ".mov", ".avi")
# What gen_video.py draws: key frames in the order of the seeds, along a cubic in w that closes.
_GEN_VIDEO = ("task=interpolation", "path=through", "space=w", "curve=cubic", "loop=true")
_MOST_PSIS = 100
_TIMELINE = "it is a track of a timeline here, see docs/interpolation.md and timeline=..."
# In the forks, with nothing to set here.
_WITHOUT = {
    "num_keyframes": "each seed is one key frame here",
    "shuffle_seed": "seeds come in the order in which they are written",
    **dict.fromkeys(
        ("translate", "rotate"), "networks here are StyleGAN2's, which do not shift or turn an image"
    ),
    **dict.fromkeys(("trunc_start", "trunc_end", "global_pulse", "wave_pulse", "frequency"), _TIMELINE),
    **dict.fromkeys(("style_dlat", "new_w_avg"), _TIMELINE),
    **dict.fromkeys(
        ("nXY", "nxy", "splitfine", "splitmax", "latmask"),
        "several latents in one image are frame of a timeline",
    ),
    "flesh": "noise on the learned constant is not drawn here",
    "compress": "a video is compressed always, as quality= says",
    **dict.fromkeys(
        ("starting_channel", "img_scale_db", "img_normalize", "rgb"), "layer= draws all maps of a layer"
    ),
    "anchor_latent_space": "networks here are StyleGAN2's, which need no anchor",
    "gauss": "path=walk is smoothed, as smoothing_sec= says",
    "digress": "nothing here moves the constant",
    **dict.fromkeys(
        (
            "constant_learning_rate",
            "constant_lr",
            "reg_noise_weight",
            "regularize_noise_weight",
            "initial_learning_rate",
        ),
        "the schedule of a projection is the published one",
    ),
    **dict.fromkeys(("loss_paper", "clip", "text_target"), "loss= has the distances that there are here"),
    **dict.fromkeys(
        ("save_every_step", "stabilize_projection"), "the best step is kept here; video=true shows the way"
    ),
    **dict.fromkeys(
        ("factor", "eigvec"),
        "factors are found in the network itself: task=directions find=sefa variant=stacked",
    ),
}
# Those that are a key with another name, and would be several keys' in the schema.
_RENAMED = {
    "projected_w": "seeds",
    "dlatents": "seeds",
    "random_seed": "seeds",
    "labels": "label",
    "model": "network",
    "target_fname": "target",
    "target_image": "target",
    "in_dir": "target",
    "projection_seed": "start",
    "vector_dir": "directions",
    "layer_idx": "layers",
    "trunc_psi": "truncation",
    "trunc_layers": "truncation_cutoff",
    "num_semantics": "count",
}


def _set(*words: str, off: Sequence[str] = ()) -> Special:
    """A switch that stands for these words, and where it is false for others."""

    def typed(value: str, _: Mapping[str, str]) -> list[str]:
        return list(off if truth(value or "true") is False else words)

    return typed


def _choice(words: Mapping[str, str | Sequence[str]]) -> Special:
    def typed(value: str, _: Mapping[str, str]) -> list[str]:
        if value not in words:
            there = ", ".join(word for word in dict.fromkeys(map(_first, words.values())))
            raise NoCounterpartError(f"here there are {there}")
        found = words[value]
        return [found] if isinstance(found, str) else list(found)

    return typed


def _first(words: str | Sequence[str]) -> str:
    return words if isinstance(words, str) else words[0]


def _missing(reason: str) -> Special:
    def typed(value: str, given: Mapping[str, str]) -> list[str]:
        raise NoCounterpartError(reason)

    return typed


def _renamed(key: str) -> Special:
    return lambda value, _: [f"{key}={value or '...'}"]


def _seed(value: str, given: Mapping[str, str]) -> list[str]:
    """Of a projection the seed of its noise; everywhere else that of an image."""
    projects = {"target", "target_fname", "target_image", "num_steps", "save_video"} & given.keys()
    return [f"{'search_seed' if projects else 'seeds'}={value or '...'}"]


def _rows(value: str, given: Mapping[str, str]) -> list[str]:
    """There the columns give their layers to the rows, here the rows to the columns."""
    return ["task=style_mixing", f"cols={value or '...'}"]


def _columns(value: str, given: Mapping[str, str]) -> list[str]:
    # In the video the row gives them.
    return ["task=style_mixing", f"{'cols' if 'row_seed' in given else 'rows'}={value or '...'}"]


def _moving_row(value: str, given: Mapping[str, str]) -> list[str]:
    return ["task=style_mixing", f"rows={value or '...'}", "format=mp4"]


def _grid(value: str, given: Mapping[str, str]) -> list[str]:
    width = next((given[name] for name in ("grid_w", "gw", "grid_width") if given.get(name)), None)
    height = next((given[name] for name in ("grid_h", "gh", "grid_height") if given.get(name)), None)
    if width is None or height is None:
        raise NoCounterpartError("a grid has columns and rows, as in grid=3x2")
    return [f"grid={width}x{height}"]


def _output(value: str, given: Mapping[str, str]) -> list[str]:
    path = PurePath(value)
    if path.suffix.lower() not in _VIDEOS:
        return [f"out={value or '...'}"]
    formats = {".webm": "webm", ".gif": "gif"}
    folder = [f"out={path.parent}"] if str(path.parent) != "." else []
    return [*_GEN_VIDEO, *folder, f"format={formats.get(path.suffix.lower(), 'mp4')}"]


def _frames_in_w(value: str, given: Mapping[str, str]) -> list[str]:
    return [*_GEN_VIDEO, f"leg_sec={_divided(value, _GEN_VIDEO_FPS)}", f"fps={_GEN_VIDEO_FPS}"]


def _frames(value: str, given: Mapping[str, str]) -> list[str]:
    """`240`: of a leg, or of a whole loop; `200-25`: in all, and of a leg."""
    total, dash, leg = value.partition("-")
    fps = _number(given.get("fps", "")) or (_EPS696_FPS if dash else _DVSCHULTZ_FPS)
    is_loop = given.get("interpolation", "").endswith("loop")
    if not dash:
        key = "duration_sec" if is_loop else "leg_sec"
        return ["task=interpolation", f"{key}={_divided(total, fps)}", f"fps={fps:g}"]
    number = _number(total), _number(leg)
    keys = max(2, round(number[0] / number[1])) if number[0] and number[1] else 0
    seeds = [] if {"seeds", "dlatents"} & given.keys() or not keys else [f"seeds=0-{keys - 1}"]
    return [
        "task=interpolation",
        "path=through",
        *seeds,
        f"leg_sec={_divided(leg, fps)}",
        f"fps={fps:g}",
        "loop=true",
    ]


def _frames_of_leg(value: str, given: Mapping[str, str]) -> list[str]:
    fps = _number(given.get("fps", "")) or _EPS696_FPS
    return ["task=interpolation", "path=through", f"leg_sec={_divided(value, fps)}", f"fps={fps:g}"]


def _easing(value: str, given: Mapping[str, str]) -> list[str]:
    """`easeInOutQuad`, `bounceEaseOut`, and the words here as they are."""
    known = {
        "easeInOutQuad": "in-out-quad",
        "bounceEaseOut": "out-bounce",
        "circularEaseOut": "out-circular",
        "circularEaseOut2": "in-out-circular",
        "backEaseOut": "out-back",
    }
    return [f"easing={known.get(value, value) or '...'}"]


def _size(value: str, given: Mapping[str, str]) -> list[str]:
    """`1024-512` is what is drawn; `1024x512` the file here as well."""
    width, dash, height = value.partition("-")
    return [f"canvas={width}x{height}"] if dash else [f"size={value or '...'}"]


def _psis(value: str, given: Mapping[str, str]) -> list[str]:
    numbers = [
        _number(given.get(name, usual))
        for name, usual in (("start", "0"), ("stop", "1"), ("increment", ".1"))
    ]
    if None in numbers or not numbers[2] or (numbers[1] - numbers[0]) / numbers[2] < 0:
        raise NoCounterpartError("the psi of each column is written out, as in psis=0,0.5,1")
    first, last, step = numbers
    count = round((last - first) / step) + 1
    if count > _MOST_PSIS:
        raise NoCounterpartError(
            "a sheet of so many psi is no sheet; a video of them is a psi track of a timeline"
        )
    return ["task=truncation", f"psis={','.join(f'{first + i * step:.6g}' for i in range(count))}"]


def _degree(value: str, given: Mapping[str, str]) -> list[str]:
    number = _number(value)
    return [
        "task=directions",
        "unit=absolute",
        f"strengths={-number:g},0,{number:g}" if number else "strengths=...",
    ]


def _divided(text: str, by: float) -> str:
    number = _number(text)
    return "..." if number is None else f"{number / by:.6g}"


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def has_swapped_rows(given: Mapping[str, str]) -> bool:
    """Whether rows and columns change places on the way here."""
    return "row_seed" not in given and bool(
        {"rows", "row_seeds", "cols", "col_seeds", "columns"} & given.keys()
    )


# Of the forks' commands the first word, which says what is made.
PROGRAMS_OF_ARTISTS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("images", "generate-images"), ("task=images",)),
    **dict.fromkeys(("lerp-video", "random-video"), ("task=interpolation", "path=walk")),
    "circular-video": ("task=interpolation", "path=circle"),
    "sightseeding": ("task=interpolation", "path=through"),
    "style-mixing": ("task=style_mixing",),
    "style-mixing-video": ("task=style_mixing", "format=mp4"),
}
OF_ARTISTS: dict[str, Special] = {
    **{name: _missing(reason) for name, reason in _WITHOUT.items()},
    **{name: _renamed(key) for name, key in _RENAMED.items()},
    "seed": _seed,
    **dict.fromkeys(("rows", "row_seeds"), _rows),
    **dict.fromkeys(("cols", "col_seeds", "columns"), _columns),
    "row_seed": _moving_row,
    "save_video": _set("task=projection", "video=true", off=["video=false"]),
    "project_in_wplus": _set("task=projection", "space=w+", off=["space=w"]),
    "start_wavg": _set("task=projection", "start=mean"),
    **dict.fromkeys(("grid_w", "gw", "grid_width", "grid_h", "gh", "grid_height"), _grid),
    **dict.fromkeys(("output", "out_file"), _output),
    "w_frames": _frames_in_w,
    "frames": _frames,
    "fstep": _frames_of_leg,
    "interp_type": _choice({"linear": "curve=linear", "spherical": ("curve=slerp", "task=interpolation")}),
    "interp_in_z": _set("task=interpolation", "space=z", off=["space=w"]),
    "smooth": _set("easing=in-out-sine", off=["easing=linear"]),
    **dict.fromkeys(("cubic", "smooth_path"), _set("task=interpolation", "curve=cubic")),
    "available_layers": _set("layer=list"),
    "save_grid": _set(),
    **dict.fromkeys(("save_dlatents", "save_lat"), _set("save_latents=true", off=["save_latents=false"])),
    "num_clusters": lambda value, _: [f"center=clusters:{value or 64}"],
    "process": _choice(
        {
            "image": "task=images",
            "interpolation": "task=interpolation",
            "truncation": "task=truncation",
            "interpolation-truncation": ("task=interpolation", "timeline=..."),
        }
    ),
    "interpolation": _choice(
        {
            "linear": ("task=interpolation", "curve=linear"),
            "slerp": ("task=interpolation", "curve=slerp"),
            "noiseloop": ("task=interpolation", "path=noise"),
            "circularloop": ("task=interpolation", "path=circle"),
        }
    ),
    "easing": _easing,
    **dict.fromkeys(("start", "stop", "increment"), _psis),
    "size": _size,
    "scale_type": _choice(
        dict.fromkeys(("symm", "symmside", "mirror"), "canvas_mode=mirror")
        | {name: f"canvas_mode={name}" for name in ("tile", "stretch")}
    ),
    "degree": _degree,
}
SWITCHES_OF_ARTISTS = (
    *(
        "save_video",
        "project_in_wplus",
        "start_wavg",
        "interp_in_z",
        "smooth",
        "smooth_path",
        "cubic",
        "gauss",
    ),
    *(
        "available_layers",
        "save_grid",
        "save_dlatents",
        "save_lat",
        "global_pulse",
        "wave_pulse",
        "splitfine",
        "flesh",
    ),
    *("compress", "img_normalize", "rgb", "anchor_latent_space", "constant_learning_rate", "constant_lr"),
    *("save_every_step", "stabilize_projection", "new_w_avg"),
)
