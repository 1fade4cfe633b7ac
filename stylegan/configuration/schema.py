"""Schema: one line a key, for every key of the train, generate and evaluate commands.

A new key is a line here, an argument of its constructor, and a default in `conf/`; nothing else. Types, `--help`,
`explain`, the quoting of free text, other programs' names, what presets fill in and what a resumed run may change are
read from the table. Defaults stay in `conf/`, where Hydra merges them; a test holds that each has a line, and each
line a default. A value that follows another key (`${...}`) is set there, and needs no line."""

# ruff: noqa: E501  One line a key is worth more than the right margin.
from typing import Any, Literal

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from stylegan.configuration.augmentation_schema import AUGMENTATION
from stylegan.configuration.keys import Command, Filled, Follows, Group, Key, Resume, Section
from stylegan.configuration.task_schema import TASKS, TRUNCATION
from stylegan.configuration.transfer_schema import TRANSFER

HARMLESS, RISKY, FIXED = Resume
USER, PRESET, DATA, COMMAND = Filled
BATCH, DEVICES = Follows

# What fits into the 64 bits that torch's generators take.
LARGEST_SEED = 2**63 - 1
# As `micro_batch`: the command measures how many images fit into memory.
AUTO = "auto"

# fmt: off
_RUN = (
    Section("Run", "", resume=HARMLESS, keys=(
        Key("name",         str | None, "folder of the run inside runs_dir; null = <data><resolution>-<preset>", filled=COMMAND, free_text=True, alias=("desc",)),
        Key("runs_dir",     str,        "folder of all runs", free_text=True, alias=("outdir", "result_dir", "results_dir")),
        Key("run_dir",      str | None, "runs_dir/name; set runs_dir=... and name=... instead", filled=COMMAND, internal=True),
        Key("resume",       str,        "auto = the run's newest checkpoint, if any | never | path of a checkpoint or a run", free_text=True),
        Key("overwrite",    bool,       "with resume=never: true = an older run of this name is moved aside, to <name>.old-1"),
        Key("allow_change", list[str],  "keys that a resumed run may change although they change what it learns", example="[loss.r1_gamma]"),
        Key("max_time",     str | None, "how long this process may train, then it saves and ends; null = no limit", example="11h30m"),
        Key("metrics",      str | list[str] | None, "scores on the way: none, a name or a list; fid50k_full and the like need weights", example="[kid,fid]"),
        Key("explain",      bool,       "true = print every value with its origin, and end", alias=("dry_run",)),
        Key("data_fingerprint", str | None, "the digest of images and labels, read from the data; it cannot be set", resume=RISKY, filled=DATA, internal=True),
    )),
    Section("Size and length", "", keys=(
        Key("resolution",  int | str | list[int] | None, "height and width of the images; null = those of the data", "px", example="48x32", alias=("res", "size", "image_size", "img_size")),
        Key("batch_size",  int | None,   "images of one iteration, on all devices together", "images", filled=PRESET, alias=("batch",)),
        Key("micro_batch", int | Literal["auto"] | None, "images a device works on at a time; auto = the most that fit, measured; multiples of mbstd_group change no result", "images", HARMLESS, PRESET, follows=DEVICES, alias=("batch_gpu",)),
        Key("total_kimg",  float | None, "length of the training in thousands of real images shown; 1.6 = 1,600 images", "kimg", HARMLESS, PRESET, alias=("kimg", "epochs", "iterations", "max_epochs", "steps")),
        Key("seed",        int,          "of every draw: weights, latents, noise, augmentation, order of the data"),
        Key("rederive",    bool,         "another batch_size than the preset's changes what depends on it; false = the preset's numbers stay", resume=HARMLESS),
    )),
    Section("Precision and memory", "", resume=HARMLESS, keys=(
        Key("precision",                str,        "of the networks: auto = the fastest that the hardware has | fp32 | bf16 | fp16 (GPUs); weights and sums are fp32"),
        Key("regulariser_precision",    str,        "of R1 and path length: auto = as precision | fp32"),
        Key("num_half_res",             int | None, "how many of the highest resolutions are in half precision; null = 4 on GPUs, all on CPUs; never the lowest of the discriminator"),
        Key("tf32",                     bool,       "true = GPUs may round the factors of fp32 products to 10 bits, which is faster", alias=("allow_tf32",)),
        Key("compile",                  bool | Literal["auto"], "true = main phases as compiled graphs: needs a C++ compiler, or Triton on a GPU; auto = not so far"),
        Key("activation_checkpointing", bool,       "true = main phases compute activations a second time going back: less memory, slower"),
    )),
)
_LEARNED = (
    Section("Generator", "generator", filled=PRESET, keys=(
        Key("generator.c_dim",          int | None,       "width of a label; 0 = no labels", filled=DATA),
        Key("generator.label_names",    list[str] | None, "names of the classes", resume=HARMLESS, filled=DATA),
        Key("generator.z_dim",          int,              "width of the input latent z"),
        Key("generator.w_dim",          int,              "width of the intermediate latent w"),
        Key("generator.mapping_layers", int | None,       "layers from z to w", alias=("map_depth",)),
        Key("generator.channel_base",   int | None,       "at r pixels there are min(channel_base / r, channel_max) feature maps", alias=("cbase",)),
        Key("generator.channel_max",    int,              "most feature maps of a layer", alias=("cmax",)),
        Key("generator.architecture",   str,              "skip | resnet | orig"),
        Key("generator.conv_clamp",     float | None,     "largest absolute activation; null = no clamp", resume=RISKY, null_is_none=True),
    )),
    Section("Discriminator", "discriminator", filled=PRESET, keys=(
        Key("discriminator.c_dim",          int | None,   "width of a label, as the generator's", filled=DATA),
        Key("discriminator.channel_base",   int | None,   "at r pixels there are min(channel_base / r, channel_max) feature maps", alias=("cbase",)),
        Key("discriminator.channel_max",    int,          "most feature maps of a layer", alias=("cmax",)),
        Key("discriminator.architecture",   str,          "resnet | skip | orig"),
        Key("discriminator.conv_clamp",     float | None, "largest absolute activation; null = no clamp", resume=RISKY, null_is_none=True),
        Key("discriminator.mbstd_group",    int | None,   "images compared with each other for the minibatch standard deviation", "images", RISKY, follows=BATCH),
        Key("discriminator.mbstd_channels", int,          "feature maps that hold it; 0 = none"),
        Key("discriminator.freeze_layers",  int,          "first layers that are not trained", alias=("freezed",)),
    )),
    Section("Losses", "loss", resume=RISKY, filled=PRESET, closed=True, keys=(
        Key("loss.r1_gamma",               float | None, "weight of the R1 penalty", follows=BATCH, alias=("gamma", "r1")),
        Key("loss.r1_interval_iterations", int | None,   "from one R1 pass to the next", "iterations"),
        Key("loss.pl_weight",              float | None, "weight of the path-length penalty; 0 = none", alias=("pl", "path_regularize")),
        Key("loss.pl_decay",               float | None, "share of the newest mean length in its running mean"),
        Key("loss.pl_batch_shrink",        int | None,   "the path-length pass takes batch_size / this many images"),
        Key("loss.pl_interval_iterations", int | None,   "from one path-length pass to the next", "iterations"),
        Key("loss.style_mixing_prob",      float | None, "share of passes with two latents; 0 = none"),
    )),
    Section("Adam, before the correction for lazy regularisation", "optim", resume=RISKY, filled=PRESET, closed=True, keys=(
        Key("optim.generator_lr",     float | None, "learning rate of the generator", alias=("lr", "learning_rate", "glr")),
        Key("optim.discriminator_lr", float | None, "learning rate of the discriminator", alias=("lr", "learning_rate", "dlr")),
        # Floats by type: torch refuses betas of which one is an int.
        Key("optim.betas",            list[float] | None, "decay of the two moments", example="[0.0,0.99]"),
        Key("optim.eps",              float | None, "added to the root of the second moment"),
    )),
    Section("EMA generator", "ema", resume=RISKY, filled=PRESET, closed=True, keys=(
        Key("ema.half_life_kimg", float | None, "thousands of images after which a weight counts half", "kimg", follows=BATCH, alias=("ema_kimg",)),
        Key("ema.ramp_up",        float | None, "half-life is at most this share of the images seen so far; null = no ramp-up", null_is_none=True),
    )),
    *AUGMENTATION,
    Section("Settings that change on the way; null = they stay", "schedules", resume=RISKY, keys=(
        Key("schedules.loss.r1_gamma",           Any, "course of loss.r1_gamma: kind constant | steps | linear | cosine, points [kimg, value]", example="{kind:linear,points:[[0,10],[1000,3]]}"),
        Key("schedules.loss.pl_weight",          Any, "course of loss.pl_weight; where a weight is 0, its pass does not run"),
        Key("schedules.optim.generator_lr",      Any, "course of optim.generator_lr"),
        Key("schedules.optim.discriminator_lr",  Any, "course of optim.discriminator_lr"),
        Key("schedules.ada.p_init",              Any, "course of p, with ada=fixed"),
    )),
)
_DATA = (
    Section("Images: where they come from", "data", resume=RISKY, keys=(
        # The images themselves are compared, by their digest; the networks are built for their size and channels.
        Key("data.path",         str,              "folder, with sub-folders, or zip of images", resume=HARMLESS, free_text=True, alias=("data",), example="images.zip"),
        Key("data.resolution",   int | list[int],  "as resolution", "px", FIXED),
        Key("data.channels",     int,              "1 = grey, 2 = grey and alpha, 3 = RGB, 4 = RGB and alpha, more = .npy files", resume=FIXED),
        Key("data.labels",       str,              "none | flowers: own = number of petals | folder: folders = first sub-folder, json = dataset.json, csv = labels.csv", alias=("cond",)),
        Key("data.labels_path",  str | None,       "table of labels; null = dataset.json or labels.csv next to the images", free_text=True),
        Key("data.balanced",     bool,             "true = each class is shown equally often"),
        Key("data.include",      str | list[str],  "only these: classes, or globs for relative names; [] = all", example="[cats,*.png]"),
        Key("data.exclude",      str | list[str],  "never these", example="[cats,*.png]"),
        Key("data.subset",       int | None,       "this many images, chosen by the seed; null = all", "images", alias=("subset",)),
        Key("data.num_items",    int,              "flowers that are drawn, before xflip", "images"),
        Key("data.val_fraction", float,            "share of the images that is held out of training"),
        Key("data.xflip",        bool,             "true = doubles the set with mirrored images", alias=("mirror", "xflip", "mirror_augment")),
        Key("data.max_bad",      int | None,       "files that may be unreadable; null = the larger of 20 and 1 % of the images", resume=HARMLESS),
        Key("data.patience_sec", float,            "how long a picture that cannot be read now (a network folder that is away) is tried again; then the run is saved and ends", "seconds", HARMLESS),
        Key("data.cache",        bool | Literal["auto"], "keep decoded images in memory: true | false | auto = if a quarter of the free memory is enough", resume=HARMLESS),
        Key("data.cache_dir",    str | None,       "folder that remembers the scan of the files; null = the user's cache folder", resume=HARMLESS, free_text=True),
        Key("data.workers",      int | None,       "processes that read images; null = 3 with a GPU, fewer on fewer cores, else none", resume=HARMLESS, alias=("workers", "num_workers", "nworkers")),
        Key("data.worker_timeout_sec", float | None, "longest wait for a batch before the workers are restarted; null = no limit", "seconds", HARMLESS),
        Key("data.devices",      int | str | list[int], "as trainer.devices: they share the quarter of the memory", resume=HARMLESS),
        Key("data.batch_size",   int,              "as batch_size", "images", HARMLESS),
    )),
)
_METRICS = "of kid, fid, pr, dc: builtin needs no weights | inception | vgg16 | lpips-vgg16 | clip | dinov2"
_WEIGHTS = "its weights, or a folder with them; null = where they usually are"
_AROUND = (
    Section("Wiring of the parts", "module", resume=RISKY, keys=()),
    Section("What happens during training", "callbacks", resume=HARMLESS, keys=(
        Key("callbacks.checkpoint.every_kimg",       float,        "from one checkpoint to the next", "kimg", alias=("snap",)),
        Key("callbacks.checkpoint.keep_last",        int | None,   "how many of the newest are kept; null = all"),
        Key("callbacks.checkpoint.keep_every_kimg",  float | None, "also kept: the first one at or after each multiple of this; null = none", "kimg"),
        Key("callbacks.checkpoint.retry_every_kimg", float,        "until a checkpoint that found the disk full is tried again", "kimg"),
        Key("callbacks.metrics.every_kimg",      float,        "from one evaluation to the next", "kimg"),
        Key("callbacks.metrics.detector",        str,          _METRICS),
        Key("callbacks.metrics.detector_path",   str | None,   _WEIGHTS, free_text=True),
        Key("callbacks.metrics.download",        bool,         "true = fetch published weights that are missing, and check their digest"),
        Key("callbacks.metrics.num_fakes",       int,          "images drawn for kid, fid, pr, dc; published metrics have their own number", "images"),
        Key("callbacks.metrics.first_seed",      int,          "of the first image; the next ones follow"),
        Key("callbacks.metrics.truncation",      float,        "psi: 1 = all the variety that was learned"),
        Key("callbacks.metrics.at_start",        bool,         "true = also before the first iteration"),
        Key("callbacks.metrics.budget",          float,        "largest share of the training's time; evaluations that would take more are skipped"),
        Key("callbacks.metrics.max_minutes",     float | None, "longest evaluation, then it is given up; null = no limit", "minutes"),
        Key("callbacks.metrics.plateau_kimg",    float | None, "this long without a clear gain in a score, and a line reports it; null = never", "kimg"),
        Key("callbacks.metrics.stop_on_plateau", bool,         "true = the run also ends, once no score of any metric gains"),
        Key("callbacks.metrics.report",          bool,         "after the last iteration also report.html: is it learning or copying?"),
        Key("callbacks.metrics.cache_dir",       str | None,   "folder for features of the real images; null = the user's cache folder", free_text=True),
        Key("callbacks.non_finite_guard.every_kimg",    float, "from one check of weights and losses to the next", "kimg", alias=("callbacks.trouble.every_kimg",)),
        Key("callbacks.non_finite_guard.max_rollbacks", int,   "how often a run returns to its last good checkpoint before it is given up", alias=("callbacks.trouble.max_rollbacks",)),
        Key("callbacks.progress.refresh_seconds", float, "from one update of the bar to the next, on a terminal", "seconds"),
        Key("callbacks.progress.every_seconds",   float, "from one line to the next, where there is no terminal", "seconds"),
        Key("callbacks.snapshots.every_kimg", float, "from one grid to the next", "kimg", alias=("snap",)),
        Key("callbacks.snapshots.columns",    int,   "of the grid", "images"),
        Key("callbacks.snapshots.rows",       int,   "of the grid; a network of classes has a row each instead", "images"),
        Key("callbacks.snapshots.seed",       int,   "of the first image; the next ones follow"),
        Key("callbacks.snapshots.truncation", float, "psi: below 1 = less variety, fewer failures"),
        Key("callbacks.stats.every_kimg",     float, "from one row of statistics to the next", "kimg", alias=("tick",)),
    )),
    Section("Where the numbers go", "logger", resume=HARMLESS, keys=(
        Key("logger.tensorboard.name",              str,  "folder of the events inside the run's"),
        Key("logger.tensorboard.version",           str,  "sub-folder of it; '' = none, so that a resumed run writes next to its older events"),
        Key("logger.tensorboard.default_hp_metric", bool, "true = also Lightning's hp_metric"),
        Key("logger.wandb.project", str,        "at Weights & Biases", free_text=True, alias=("wandb_project",)),
        Key("logger.wandb.name",    str,        "of the run there", free_text=True, alias=("wandb_name",)),
        Key("logger.wandb.id",      str | None, "of the run there; a resumed run keeps it", filled=COMMAND),
        Key("logger.wandb.entity",  str | None, "user or team there; null = your default", free_text=True, alias=("wandb_entity",)),
        Key("logger.wandb.group",   str | None, "runs with the same are shown together; null = none", free_text=True, alias=("wandb_group",)),
        Key("logger.wandb.tags",    list[str],  "of the run there", example="[foxes,try2]", alias=("wandb_tags",)),
        Key("logger.wandb.offline", bool,       "true = no network; `wandb sync` uploads later"),
        Key("logger.wandb.init_timeout_sec",   float, "longest wait for the network at the start; then the run is logged offline", "seconds"),
        Key("logger.wandb.finish_timeout_sec", float, "longest wait at the end for what is not uploaded yet, which stays on the disk", "seconds"),
    )),
    Section("Devices, and Lightning's trainer", "trainer", resume=HARMLESS, keys=(
        Key("trainer.accelerator", str,        "auto | cpu | gpu | mps"),
        Key("trainer.devices",     int | str | list[int] | None, "number of devices, one process each; the default batch is derived from it; null = as many as were started", filled=COMMAND, alias=("gpus", "num_gpus", "devices", "ngpus")),
        Key("trainer.num_nodes",   int | None, "more than one need torchrun or srun; null = as many as were started on", filled=COMMAND),
        Key("trainer.strategy",    Any,        "auto = the project's own for several devices"),
        Key("trainer.benchmark",   bool,       "true = cuDNN tries its kernels: faster on GPUs, but not the same bits after a restart"),
        Key("trainer.max_steps",   int,        "-1: total_kimg ends the run"),
        Key("trainer.max_epochs",  int,        "-1: the data never end"),
        Key("trainer.log_every_n_steps",       int,  "optimiser steps after which loggers are flushed; callbacks log at their own cadence"),
        Key("trainer.num_sanity_val_steps",    int,  "0: there is no validation loop"),
        Key("trainer.use_distributed_sampler", bool, "false: the project's own sampler splits the data"),
        Key("trainer.enable_progress_bar",     bool, "false: callbacks.progress does it"),
        Key("trainer.enable_model_summary",    bool, "true = also Lightning's table of the layers"),
    )),
)
_NETWORK = (
    Key("network",    str | None, "run folder, .ckpt, .safetensors, NVIDIA's .pkl, or a name such as ffhq256; null = the newest run in runs_dir", free_text=True),
    Key("runs_dir",   str,        "folder where runs are looked for", free_text=True, alias=("result_dir", "results_dir")),
)
_NOISE_MODE = Key("noise_mode", str, "fine detail: const = the same in every image | random = each image its own | none")
_DEVICE = Section("Device", "", keys=(
    Key("precision",  str, "auto = the fastest that the device has | fp32 | bf16 | fp16 (GPUs)"),
    Key("device",     str, "auto = CUDA where there is one | cpu | cuda | cuda:1"),
))
_GENERATE = (
    Section("Network and place", "", keys=(
        *_NETWORK,
        Key("out",    str | None, "folder for the images; null = generated/ in the run, or next to the file", free_text=True, alias=("outdir", "output", "output_dir", "out_dir")),
        Key("tuned",  str | None, "difference that projection with space=tuned saved, put onto the network; null = none", free_text=True),
        Key("overwrite", bool,    "true = replace images that are there with other settings; those of the same settings always stay"),
    )),
    *TASKS,
    Section("Noise, precision, device", "", keys=(_NOISE_MODE, *_DEVICE.keys)),
)
_EVALUATE = (
    Section("Network and place", "", keys=(
        Key("network",     str | None, "run folder, .ckpt, .safetensors, NVIDIA's .pkl, or several to compare: a,b or 'runs/sweep*'; null = the newest run in runs_dir", free_text=True),
        _NETWORK[1],
        Key("checkpoints", str,        "newest | all = all that a run has kept"),
        Key("out",         str | None, "folder for metric-*.jsonl and the report; null = the run's, or next to the file", free_text=True, alias=("outdir", "output", "output_dir")),
        Key("again",       bool,       "with checkpoints=all or several networks: true = also what is recorded already"),
    )),
    Section("Scores", "", keys=(
        Key("metrics",       str | list[str], "kid, fid, fid_infinity, pr, dc, is, ppl, or published: fid50k_full, kid50k_full, pr50k3_full, is50k, ppl2_wend", example="[kid,fid]"),
        Key("detector",      str,        _METRICS),
        Key("detector_path", str | None, _WEIGHTS, free_text=True),
        Key("download",      bool,       "true = fetch published weights that are missing, and check their digest"),
        Key("num_fakes",     int,        "images drawn for kid, fid, pr, dc; published metrics have their own number", "images"),
        Key("first_seed",    int,        "of the first image; image i is what generate draws for first_seed + i"),
        TRUNCATION,
        _NOISE_MODE,
        Key("report",        bool,       "true = also report.html: is it learning or copying?"),
        Key("cache_dir",     str | None, "folder for features of the real images; null = the user's cache folder", free_text=True),
    )),
    Section("For data=flowers and data=folder; without, the images of the run", "", keys=(
        Key("resolution",    int | str | list[int] | None, "height and width of the images; null = what the network draws", "px", alias=("res", "size", "image_size", "img_size")),
        Key("seed",          int,        "of the flowers, and of data.subset and data.val_fraction"),
    )),
    *_DATA,
    _DEVICE,
)
# fmt: on

_DATA_GROUP = Group("data", "where the images come from")
TRAIN = Command(
    "train",
    "Trains a generator on images, into a run folder.",
    (
        "experiment=flowers32",
        "data=folder data.path=photos resolution=64",
        "name=mine total_kimg=2000 explain=true",
    ),
    (
        Group("preset", "sizes of the networks, numbers of the optimisation", alias=("cfg",)),
        _DATA_GROUP,
        Group("augpipe", "which transforms augment"),
        Group("ada", "how strongly", alias=("aug", "augment")),
        Group("callbacks", "what happens during training"),
        Group("logger", "where the numbers go"),
        Group("trainer", "which devices"),
        Group("experiment", "a recipe: values for all of these"),
    ),
    (*_RUN, TRANSFER, *_LEARNED, *_DATA, *_AROUND),
)
GENERATE = Command(
    "generate",
    "Draws images from a trained network.",
    (
        "network=runs/flowers32 seeds=0-15",
        "network=portraits.ckpt seeds=7 truncation=0.7 out=chosen",
        "task=interpolation seeds=3,14,15 loop=true",
    ),
    (Group("task", "what is made; each task has keys of its own, see task=NAME --help"),),
    _GENERATE,
)
EVALUATE = Command(
    "evaluate",
    "Scores a trained network against images.",
    (
        "network=runs/flowers32 'metrics=[kid,fid]'",
        "network=portraits.ckpt data=folder data.path=photos report=true",
    ),
    (_DATA_GROUP,),
    _EVALUATE,
)
COMMANDS = {command.name: command for command in (TRAIN, GENERATE, EVALUATE)}

FREE_TEXT_KEYS = frozenset(
    name for command in COMMANDS.values() for name in command.names(lambda key: key.free_text)
)
# Null so far, and filled in before anything is built.
FROM_THE_DATA = frozenset(TRAIN.filled_by(DATA))
BY_THE_COMMAND = {key.name: f"{key.name} is {key.meaning}" for key in TRAIN.keys.values() if key.internal}

RunConfig = TRAIN.structured()
_schema = OmegaConf.structured(RunConfig)
# Its keys are dotted names of other keys, as a whole or nested; which can be is said in one line by `unknown_keys`.
OmegaConf.set_struct(_schema.schedules, False)
ConfigStore.instance().store(name="schema", node=_schema)


def scalar_faults(
    *, batch_size: int | None, micro_batch: Any, total_kimg: float | None, seed: int
) -> list[str]:
    """What is out of range among the shared scalars, one line a key; null is filled in later and passes.

    Args:
        batch_size: images.
        micro_batch: images; of any type, since the structured configuration takes them all.
        total_kimg: thousands of images.
        seed: 0 to 2^63 - 1.
    """
    faults = [
        f"{key} must be above 0 and finite, got {value}"
        for key, value in {"batch_size": batch_size, "total_kimg": total_kimg}.items()
        if value is not None and not 0 < value < float("inf")
    ]
    whole = isinstance(micro_batch, int) and not isinstance(micro_batch, bool)
    if micro_batch not in (None, AUTO) and not (whole and micro_batch > 0):
        faults.append(f"micro_batch must be a whole number above 0, auto or null, got {micro_batch}")
    if not 0 <= seed <= LARGEST_SEED:
        faults.append(f"seed must be from 0 to {LARGEST_SEED} (2^63 - 1), got {seed}")
    return faults
