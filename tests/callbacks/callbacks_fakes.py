"""A run in miniature: real (tiny) generators, fake training whose every number can be computed by hand."""

from types import SimpleNamespace

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from stylegan.networks import Generator
from stylegan.training.clock import is_due
from stylegan.training.stats import RunningStats


def tiny_generator(c_dim: int = 0) -> Generator:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Generator(
            resolution=8, z_dim=8, w_dim=8, c_dim=c_dim, mapping_layers=1, channel_base=64, channel_max=8
        )


class FakeAda(nn.Module):
    """p grows by 0.1 an iteration; counts how often it is read."""

    def __init__(self):
        super().__init__()
        self.register_buffer("value", torch.zeros(()))
        self.reads = 0
        self.sign_mean = torch.tensor(0.25)

    @property
    def p(self) -> Tensor:
        self.reads += 1
        return self.value


class FakeModule(pl.LightningModule):
    """What callbacks may use of the training module. Iteration i = 0, 1, ... reports 10 i and 10 i + 2."""

    def __init__(self, *, total_images: int, batch_size: int = 4, c_dim: int = 0, fail_at: int | None = None):
        super().__init__()
        self.automatic_optimization = False
        self.register_buffer("images_seen", torch.zeros((), dtype=torch.long))
        self.batch_size, self.total_images, self.fail_at = batch_size, total_images, fail_at
        self.generator, self.generator_ema = tiny_generator(c_dim), tiny_generator(c_dim)
        self.generator_ema.requires_grad_(False)
        self.ada = FakeAda()
        self.stats = RunningStats()

    images = property(lambda self: int(self.images_seen))
    kimg = property(lambda self: self.images / 1000)
    iteration = property(lambda self: self.images // self.batch_size)
    is_last = property(lambda self: self.images >= self.total_images)

    def due(self, every_kimg: float) -> bool:
        before = self.images - self.batch_size
        return is_due(every_kimg, before_images=before, after_images=self.images) or self.is_last

    def configure_optimizers(self):
        return torch.optim.Adam(self.generator.parameters(), lr=1e-2)

    def step(self) -> None:
        """One iteration without a trainer."""
        i = self.iteration
        self.stats.add("Loss/G/loss", torch.tensor([10.0 * i, 10.0 * i + 2]))
        if i % 4 == 0:
            self.stats.add("Loss/pl_penalty", torch.tensor(float(i)))
        self.ada.value += 0.1
        self.images_seen += self.batch_size

    def training_step(self, batch, batch_idx):
        optimizer = self.optimizers()
        key = torch.Generator().manual_seed(self.iteration)
        z = torch.randn(self.batch_size, self.generator.z_dim, generator=key)
        c = torch.ones(self.batch_size, self.generator.c_dim)
        optimizer.zero_grad()
        self.generator(z, c).square().mean().backward()
        if self.iteration == self.fail_at:
            raise RuntimeError("half an iteration")
        optimizer.step()
        with torch.no_grad():
            for average, live in zip(
                self.generator_ema.parameters(), self.generator.parameters(), strict=True
            ):
                average.lerp_(live, 0.5)
        self.step()
        if self.is_last:
            self.trainer.should_stop = True


class FakeData(pl.LightningDataModule):
    """Endless empty batches; real image i is all i, of class i mod K."""

    def __init__(self, *, c_dim: int = 0, items: int = 1000):
        super().__init__()
        self.c_dim, self.items = c_dim, items

    def train_dataloader(self):
        def forever():
            while True:
                yield torch.zeros(1)

        class Endless(torch.utils.data.IterableDataset):
            def __iter__(self):
                return forever()

        return torch.utils.data.DataLoader(Endless(), batch_size=None)

    def preview(self, count: int) -> tuple[Tensor, Tensor]:
        count = min(count, self.items)
        images = torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 8, 8)
        labels = torch.eye(self.c_dim)[(torch.arange(count) + 1) % self.c_dim] if self.c_dim else None
        return images, torch.zeros(count, 0) if labels is None else labels


def fit(module, callbacks, loggers=(), ckpt_path=None, data=None) -> pl.Trainer:
    """Trains as the command line does, in the smallest way."""
    torch.manual_seed(1)
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=-1,
        max_steps=-1,
        callbacks=list(callbacks),
        logger=list(loggers),
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    trainer.fit(module, datamodule=data or FakeData(c_dim=module.generator.c_dim), ckpt_path=ckpt_path)
    return trainer


def stub_trainer(loggers=()) -> SimpleNamespace:
    """For callbacks that are called by hand."""
    return SimpleNamespace(is_global_zero=True, loggers=list(loggers), datamodule=None)
