"""Memory estimate: what a training will take, before it begins, by counting what the networks keep.

    weights, gradients, Adam   4 bytes · 6·(G + D), with G and D parameters: weights, gradients, two moments; the
                               EMA generator, and copies that pass while a step is taken
    activations                4 bytes · images at a time · (max(main phase, path length, R1) + augmentation), where
                               main phase = 4·A_G + 3·A_D, path length = 5·A_G / pl_batch_shrink, R1 = 6·A_D,
                               augmentation = 80·C·H·W, for images padded and enlarged while they are moved
    A_G, A_D                   values that come out of the layers with weights of a network, an image

Parameters and values are counted on networks without memory (`torch.device("meta")`), so a user's own networks count as
well. The factors are how often a value is kept for the way back, more often for second derivatives; they were set by
measured peaks. Not in it: what Python and torch take before training begins, and the workers that read the data.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from stylegan.machine.memory import in_words
from stylegan.machine.text import counted

_BYTES = 4  # of a float32
_AUGMENTED = 80


@dataclass(frozen=True)
class NetworkCounts:
    """Of a generator or a discriminator: parameters, and values that its layers give for one image."""

    parameters: int
    values: int


@dataclass(frozen=True)
class MemoryEstimate:
    """Parameters of both networks, and the bytes that training keeps."""

    generator: int
    discriminator: int
    state_bytes: int
    activation_bytes: int

    @property
    def total_bytes(self) -> int:
        return self.state_bytes + self.activation_bytes


def estimate_memory(config: DictConfig) -> MemoryEstimate:
    """The estimate for a complete configuration.

    Raises: any error of the networks where they cannot be built or run without values.
    """
    generator, discriminator, image_values = count_networks(config.generator, config.discriminator)
    phases = [4 * generator.values + 3 * discriminator.values]
    if config.loss.pl_weight or OmegaConf.select(config, "schedules.loss.pl_weight"):
        phases.append(5 * generator.values / max(config.loss.pl_batch_shrink, 1))
    if config.loss.r1_gamma or OmegaConf.select(config, "schedules.loss.r1_gamma"):
        phases.append(6 * discriminator.values)
    augmented = 0 if config.ada.get("mode") == "none" else _AUGMENTED * image_values
    parameters = generator.parameters + discriminator.parameters
    return MemoryEstimate(
        generator.parameters,
        discriminator.parameters,
        state_bytes=_BYTES * 6 * parameters,
        activation_bytes=round(_BYTES * config.micro_batch * (max(phases) + augmented)),
    )


def count_networks(
    generator_node: DictConfig, discriminator_node: DictConfig
) -> tuple[NetworkCounts, NetworkCounts, int]:
    """Builds both networks without memory, draws one image and discriminates it.

    Args:
        generator_node, discriminator_node: each with its `_target_`; a label's width that is not known yet counts as
            none.
    Returns: the counts of the generator and of the discriminator, and C·H·W of an image.
    """
    with torch.device("meta"), torch.no_grad():
        networks = [built(node).eval() for node in (generator_node, discriminator_node)]
        generator, discriminator = networks
        labels = torch.empty(1, generator.c_dim) if generator.c_dim else None
        with _values_of(generator) as of_generator, _values_of(discriminator) as of_discriminator:
            image = generator(torch.empty(1, generator.z_dim), labels)
            discriminator(image, labels)
    values = (sum(of_generator), sum(of_discriminator))
    parameters = (sum(p.numel() for p in network.parameters()) for network in networks)
    return *map(NetworkCounts, parameters, values), image.numel()


def memory_line(config: DictConfig) -> str:
    """The estimate for a complete configuration in one line, in units of 10^6 or 10^9 bytes."""
    try:
        estimate = estimate_memory(config)
    # Networks of a user's own may raise anything where tensors have no values; the training itself does not ask that.
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        return f"not estimated: the networks cannot be counted without values ({reason[:120]})"
    return (
        f"about {in_words(estimate.total_bytes)}: {in_words(estimate.state_bytes)} for"
        f" {(estimate.generator + estimate.discriminator) / 1e6:.3g} million parameters,"
        f" {in_words(estimate.activation_bytes)} for {counted(config.micro_batch, 'image')} at a time;"
        " torch itself comes on top"
    )


def built(node: DictConfig) -> nn.Module:
    """The network of a configuration that may not know its labels yet; on the device of the context, such as "meta"."""
    unknown = {"c_dim": 0} if "c_dim" in node and node.c_dim is None else {}
    # The names of classes change no size, and Hydra would look up what is `${` in one of them.
    unnamed = {"label_names": None} if "label_names" in node else {}
    return instantiate(node, _convert_="all", **unknown, **unnamed)


@contextmanager
def _values_of(network: nn.Module) -> Iterator[list[int]]:
    """Inside, a list grows by the values that come out of each layer with weights of its own."""
    counted: list[int] = []

    def count(layer: nn.Module, arguments: tuple, output: object) -> None:
        if isinstance(output, Tensor):
            counted.append(output.numel())

    # The weights of a frozen layer are a buffer.
    layers = [
        layer
        for layer in network.modules()
        if "weight" in dict(layer.named_parameters(recurse=False)) | dict(layer.named_buffers(recurse=False))
    ]
    handles = [layer.register_forward_hook(count) for layer in layers]
    try:
        yield counted
    finally:
        for handle in handles:
            handle.remove()
