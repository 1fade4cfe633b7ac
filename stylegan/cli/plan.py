"""Plan of a training: everything that is decided before anything is built, by rank 0 alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from stylegan.cli.memory_probe import measured_micro_batch
from stylegan.cli.transfer import planned_transfer
from stylegan.configuration.complete import (
    Checked,
    Completed,
    DataFacts,
    check,
    complete,
    label_values,
    with_data,
    with_values,
)
from stylegan.configuration.compose import Composition
from stylegan.configuration.hydra_errors import instantiate_part
from stylegan.configuration.schema import AUTO
from stylegan.distributed.processes import Process
from stylegan.machine.files import expanded
from stylegan.runs.config_diff import Change, refuse_changes
from stylegan.runs.folder import RunFolder, images_of
from stylegan.runs.forgotten import forgotten_groups
from stylegan.runs.records import resolved_text, wandb_id_values
from stylegan.runs.resume import (
    find_checkpoint,
    is_done,
    lines_about_beginning,
    refuse_beginning,
    source_of,
    stored_config,
    stored_values,
)


@dataclass(frozen=True)
class Plan:
    """What a run will do.

    Args:
        config: complete; nothing changes it (a read-only flag would keep Hydra from building parts that share nodes).
        folder: where its files belong.
        checkpoint: to continue from; None = the run begins.
        is_done: whether the checkpoint has seen all images already.
        num_items: images of the data.
        changes: of the settings since the run was last started.
        transfer: whose weights the run begins with; None = the run continues, or begins with random ones.
        report: what the transfer gives.
        notes: lines about all this, for the user.
    """

    config: DictConfig
    folder: RunFolder
    checkpoint: Path | None = None
    is_done: bool = False
    num_items: int = 0
    changes: tuple[Change, ...] = ()
    transfer: Any | None = None
    report: Any | None = None
    notes: tuple[str, ...] = field(default=())

    def message(self) -> dict[str, Any]:
        """What workers must know of it, as plain values."""
        checkpoint = None if self.checkpoint is None else str(self.checkpoint.absolute())
        return {"config": resolved_text(self.config), "checkpoint": checkpoint}

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> "Plan":
        """The plan that rank 0 broadcast."""
        config = OmegaConf.create(message["config"])
        checkpoint = message["checkpoint"]
        return cls(config, RunFolder(config.run_dir), None if checkpoint is None else Path(checkpoint))


def completed(composition: Composition, process: Process) -> Completed:
    """A complete configuration but for what the data say; their size is read only for `resolution=null`."""
    checked = check(composition, process)
    if composition.config.resolution is None:
        checked = check(composition, process, size=size_of_data(checked))
    folder = RunFolder(checked.config.run_dir)
    stored = stored_values(folder) if composition.config.resume == "auto" else None
    return complete(checked, stored=stored)


def make_plan(completed: Completed, folder: RunFolder, composition: Composition) -> tuple[Plan, Any]:
    """Decides where a run continues, opens its data, and measures what `auto` stands for.

    The folder must be locked: nothing else may write there.
    Args: composition: what was completed.
    Returns: the plan; the data module, set up, which is None where the run is done.
    Raises: ValueError or UserError where the run cannot be as it is configured.
    """
    config = completed.config
    checkpoint, notes = find_checkpoint(config.resume, folder, overwrite=config.overwrite)
    before = stored_config(folder) if checkpoint is not None else {}
    source = None if checkpoint is None else source_of(checkpoint, folder)
    if source is not None:
        refuse_beginning(checkpoint, config, folder)
    forgotten = forgotten_groups(composition, completed.origins, folder) if before else None
    refuse_changes(before, config, place=str(folder.path), forgotten=forgotten)
    if checkpoint is not None and is_done(config, checkpoint):
        return Plan(config, folder, checkpoint, is_done=True), None
    data, facts = open_data(config)
    config = with_data(config, facts)
    # The first check refuses before minutes of reading; this one also compares labels and fingerprint.
    changes = refuse_changes(before, config, place=str(folder.path), forgotten=forgotten)
    config = with_values(config, wandb_id_values(config, before))
    notes = [*notes, *getattr(data, "notes", ())]
    if source is not None:
        notes += lines_about_beginning(checkpoint, config)
    transfer = report = None
    if checkpoint is None and config.transfer.path is not None:
        transfer, report = planned_transfer(config)
        notes += report.lines()
    if config.micro_batch == AUTO:
        config = with_values(config, {"micro_batch": measured_micro_batch(config)[0]})
    plan = Plan(
        config=config,
        folder=folder,
        checkpoint=checkpoint,
        num_items=facts.num_items,
        changes=tuple(changes),
        transfer=transfer,
        report=report,
        notes=tuple(notes),
    )
    return plan, data


def open_data(config: DictConfig) -> tuple[Any, DataFacts]:
    """The data module of a configuration, set up, and what only it knows."""
    data = instantiate_part(config, "data", _convert_="all")
    data.setup("fit")
    names = tuple(getattr(data, "label_names", ()))
    return data, DataFacts(
        data.num_items,
        data.label_width,
        names,
        fingerprint=getattr(data, "fingerprint", None),
        num_found=getattr(data, "num_found", None),
    )


def open_data_of_worker(plan: Plan) -> Any:
    """The data module in another process than rank 0.  Raises: ValueError where it sees other files than rank 0."""
    if plan.checkpoint is not None and not plan.checkpoint.exists():
        raise ValueError(f"{plan.checkpoint} is not there; runs_dir must be on a disk that all nodes share")
    data, facts = open_data(plan.config)
    if facts.fingerprint != plan.config.data_fingerprint:
        raise ValueError(
            f"the pictures in {plan.config.data.get('path')} are not those of process 0; copy the same to each node"
        )
    return data


def micro_batch_to_explain(config: DictConfig) -> tuple[int, str]:
    """What `micro_batch=auto` is, and its origin."""
    _, facts = open_data(config)
    return measured_micro_batch(with_values(config, label_values(config, facts)))


def course_to_explain(config: DictConfig) -> tuple[dict[str, tuple[float, str]], list[str]]:
    """What a run changes on the way, as it is at the images that it has seen.

    Returns: {dotted key: (value now, origin)} of what follows a schedule; lines about it, and about what is frozen.
    Raises: UserError for a schedule that is none, or names that no parameter has.
    """
    import torch

    from stylegan.training.freezing import Freezing
    from stylegan.training.memory_estimate import built
    from stylegan.training.schedules import SCHEDULABLE

    images = _images_so_far(config)
    values, lines = {}, []
    if "schedules" in config.module:
        schedules = instantiate_part(config, "module.schedules")
        origin = f"its schedule, at kimg {images / 1000:.3f}"
        values = {
            SCHEDULABLE[name][0]: (value, origin) for name, value in schedules.values_at(images).items()
        }
        lines += schedules.lines_at(images)
    freeze = config.transfer.freeze if "freeze" in config.module else None
    if not freeze:
        return values, lines
    try:
        with torch.device("meta"):
            networks = {name: built(config[name]) for name in ("generator", "discriminator")}
    # Networks of a user's own may raise anything where tensors have no values; the training itself does not ask that.
    except Exception:
        return values, [*lines, "frozen      not shown: the networks cannot be built without values"]
    try:
        freeze = OmegaConf.to_container(freeze) if OmegaConf.is_config(freeze) else freeze
        lines += Freezing(freeze, **networks).lines_at(images)
    except ValueError as error:
        raise ValueError(f"transfer.{error}") from error
    return values, lines


def _images_so_far(config: DictConfig) -> int:
    """Images seen by the checkpoint that the run would continue from; nothing is read but names."""
    newest = None if config.resume == "never" else RunFolder(config.run_dir).newest_checkpoint()
    if newest is None and config.resume not in ("auto", "never"):
        path = expanded(config.resume, key="resume")
        newest = RunFolder(path).newest_checkpoint() if path.is_dir() else path
    try:
        return 0 if newest is None else images_of(newest)
    except ValueError:
        return 0  # a name of the user's own


def size_of_data(checked: Checked) -> Any:
    """The size that all images of the data have.

    Raises: ValueError where they have none of their own, or one that no network draws.
    """
    node = checked.config.data
    # The batch follows from the size; nothing is read in batches before it is known.
    placeholder = {"batch_size": 1} if "batch_size" in node and node.batch_size is None else {}
    data = instantiate_part(checked.config, "data", **placeholder, _convert_="all")
    data.setup("fit")
    size = getattr(data, "size", None)
    if size is None:
        raise ValueError(
            "resolution=null takes the size of the pictures, but"
            f" data={checked.composition.choices['data']} has none of its own; set resolution=64 or resolution=48x32"
        )
    return size
