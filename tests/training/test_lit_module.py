"""The adapter: what a Trainer and callbacks meet, and what a checkpoint holds."""

from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from stylegan.losses import PathLengthPenalty
from stylegan.training import StyleGAN2ADA, as_lightning
from tests.training.trainings import batch, training


def adapted(**options):
    return StyleGAN2ADA(training(**options))


def test_a_training_is_adapted_and_a_lightning_module_left_as_it_is():
    trained = training(batch_size=4)
    module = as_lightning(trained)
    assert module.adversarial_training is trained
    assert as_lightning(module) is module
    own = pl.LightningModule()
    assert as_lightning(own) is own
    with pytest.raises(ValueError, match="module must be .* got Linear"):
        as_lightning(nn.Linear(1, 1))


def test_names_of_a_checkpoint_are_those_of_the_first_one():
    names = list(adapted(batch_size=4).state_dict())
    assert names[:2] == ["images_seen", "rollbacks"]
    assert names[-1] == "path_length.mean_length"
    assert {"ada.p", "ada.sign_sum", "generator.mapping.w_avg", "augment.Hz_geom"} < set(names)
    assert {name.split(".")[0] for name in names} == {
        *("images_seen", "rollbacks", "generator", "discriminator", "generator_ema", "augment", "ada"),
        "path_length",
    }


def test_a_state_comes_back():
    first, then = adapted(batch_size=4), adapted(batch_size=4)
    first.adversarial_training.step(*batch(4, 0))
    then.load_state_dict(first.state_dict())
    assert (then.images, then.kimg, then.iteration) == (4, 0.004, 1)
    for (name, ours), theirs in zip(then.state_dict().items(), first.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs), name
    older = first.state_dict()
    del older["rollbacks"]
    then.load_state_dict(older)
    with pytest.raises(RuntimeError, match="generator.mapping.w_avg"):
        then.load_state_dict({k: v for k, v in older.items() if k != "generator.mapping.w_avg"})


@pytest.mark.parametrize("older", [False, True], ids=["of now", "without the mean"])
def test_a_weight_of_path_length_may_come_and_go(older):
    """What a checkpoint holds does not depend on it; older ones had no mean where the weight was 0."""
    off = dict(path_length=PathLengthPenalty(weight=0))
    for before, after in ((off, {}), ({}, off), ({}, dict(path_length=None))):
        first, then = adapted(batch_size=4, **before), adapted(batch_size=4, **after)
        first.adversarial_training.path_length.mean_length.fill_(3)
        checkpoint = {"state_dict": first.state_dict()}
        first.on_save_checkpoint(checkpoint)
        if older and before:
            del checkpoint["state_dict"]["path_length.mean_length"]
        then.on_load_checkpoint(checkpoint)
        then.load_state_dict(checkpoint["state_dict"])
        path_length = then.adversarial_training.path_length
        if path_length is not None:
            assert path_length.mean_length == (0 if older and before else 3)


def test_an_unknown_format_is_refused_by_name():
    with pytest.raises(ValueError, match="format_version 99 is not known here"):
        adapted(batch_size=4).on_load_checkpoint({"format_version": 99})


def test_training_ends_at_the_total():
    module = adapted(batch_size=4, total_kimg=0.006)
    module._trainer = SimpleNamespace(should_stop=False)
    module.training_step(batch(4, 0), 0)
    assert not module.trainer.should_stop
    module.training_step(batch(4, 1), 1)
    assert module.trainer.should_stop and module.is_last


def fitted(module, **options):
    data = torch.utils.data.DataLoader([tuple(t[0] for t in batch(1, i)) for i in range(16)], batch_size=4)
    quiet = dict(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    trainer = pl.Trainer(max_epochs=-1, enable_model_summary=False, **quiet, **options)
    trainer.fit(module, data)
    return trainer


def test_a_trainer_computes_what_plain_steps_do():
    class Seen(pl.Callback):
        steps = backward = 0

        def on_before_optimizer_step(self, *_):
            self.steps += 1

        def on_after_backward(self, *_):
            self.backward += 1

    plain, module = training(batch_size=4), adapted(batch_size=4, total_kimg=0.012)
    for i in range(3):
        images = torch.cat([batch(1, k)[0] for k in range(4 * i, 4 * i + 4)])
        plain.step(images)
    seen = Seen()
    trainer = fitted(module, callbacks=[seen])
    for (name, ours), theirs in zip(module.state_dict().items(), plain.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs), name
    # Gmain and Dmain thrice, Greg twice, Dreg once.
    assert seen.steps == seen.backward == trainer.global_step == 9
    adams = trainer.strategy.optimizers
    assert [len(adam.state) for adam in adams] == [
        len(module.adversarial_training.gradients.learning[name]) for name in ("generator", "discriminator")
    ]


def test_a_checkpoint_says_its_precision_and_a_run_when_it_is_another():
    first = adapted(batch_size=4, precision="bf16")
    first.settle_precision(torch.device("cpu"))
    checkpoint = {"state_dict": {}}
    first.on_save_checkpoint(checkpoint)
    assert checkpoint["precision"] == first.precision == "bf16"
    second = adapted(batch_size=4)
    second.on_load_checkpoint(checkpoint)
    second.settle_precision(torch.device("cpu"))
    device, *lines = second.start_lines()
    assert device == f"device      CPU, {torch.get_num_threads()} thread{'s' * (torch.get_num_threads() > 1)}"
    assert lines[0] == "precision   fp32" and "precision=bf16 keeps them" in lines[1]
    first.on_load_checkpoint(checkpoint)
    assert list(first.start_lines())[1:] == ["precision   bf16"]
