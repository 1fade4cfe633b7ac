"""A complete configuration from words, as the train command has it before data are opened."""

from dataclasses import replace

from omegaconf import DictConfig

from stylegan.configuration.command_line import quote_free_text
from stylegan.configuration.complete import Completed, DataFacts, check, complete, label_values, with_values
from stylegan.configuration.compose import Composition, composed
from stylegan.runs.folder import RunFolder
from stylegan.runs.resume import stored_values


def completed(*words: str, config_dir=None, swept=()) -> Completed:
    """Raises: what the command turns into lines."""
    return completed_from(composed("train", quote_free_text(words), config_dir=config_dir), swept=swept)


def completed_from(composition: Composition, *, swept=()) -> Completed:
    checked = check(replace(composition, swept=dict(swept)))
    stored = None
    if checked.config.run_dir is not None and checked.config.resume == "auto":
        stored = stored_values(RunFolder(checked.config.run_dir))
    return complete(checked, stored=stored)


def labelled(config: DictConfig, width: int = 0, names=()) -> DictConfig:
    """With what the data would say of labels."""
    return with_values(config, label_values(config, DataFacts(1, width, tuple(names))))
