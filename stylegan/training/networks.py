"""Forward passes of both networks in training: latents, fakes and logits, plain or as compiled graphs."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from stylegan.augment import AugmentPipe
from stylegan.distributed.batch_split import join, separate
from stylegan.images import to_float
from stylegan.networks import Generator
from stylegan.networks.precision import recompute_in
from stylegan.training.draws import Draw
from stylegan.training.ema import tracking_w_avg

# Images [n,C,H,W], labels [n,K], and draws of the augmentation pipe: what is discriminated.
Discriminated = tuple[Tensor, Tensor | None, dict[str, Tensor] | None]

# Four are expected. One more is not worth an error in the middle of a run.
_MOST_GRAPHS = 64


class Networks:
    """What the losses ask of the generator and the discriminator.

    Args:
        generator: z [n,Z] and labels → ws → images.
        discriminator: images [n,C,H,W] and labels [n,K] or None → logits [n,1].
        augment: the pipe before the discriminator; None = none.
        compile: whether the first-order phases run as compiled graphs: true, false or auto. auto compiles nowhere
            yet: on a CPU it brings nothing, needs a C++ compiler and takes time at every start; on GPUs it has not
            been measured.
        activation_checkpointing: whether the first-order phases compute activations again on the way back instead of
            keeping them. R1 and path length keep theirs in any case: what they compute again would have to be kept
            for the second derivative.
    Raises: ValueError for another word than these.
    """

    def __init__(
        self,
        generator: Generator,
        discriminator: nn.Module,
        augment: AugmentPipe | None,
        *,
        compile: str | bool = False,
        activation_checkpointing: bool = False,
    ):
        if compile not in (True, False, "auto"):
            raise ValueError(f"compile must be auto, true or false, got {compile}")
        self.generator, self.discriminator, self.augment = generator, discriminator, augment
        self.wants_compiled, self.activation_checkpointing = compile is True, activation_checkpointing
        self._graphs: CompiledNetworks | None = None
        self._second_order = True
        self._track: Callable[[Tensor], Tensor] | None = None

    @property
    def weight(self) -> Tensor:
        """A weight whose dtype and device are those of the training."""
        return next(self.generator.parameters())

    def like_weights(self, images: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Both with dtype and device of the weights; no labels where the discriminator takes none.

        Args:
            images: [n,C,H,W], uint8 or floats in [-1, 1].
            labels: [n,K] or None.
        """
        weight = self.weight
        # Bytes cross to the device, not floats.
        images = images.to(weight.device)
        images = (to_float(images) if images.dtype == torch.uint8 else images).to(weight.dtype)
        if labels is None or not self.discriminator.c_dim:
            return images, None
        return images, labels.to(device=weight.device, dtype=weight.dtype)

    def prepare_for(self, *, second_order: bool) -> None:
        """Chooses between graphs and plain networks, and what happens to activations.

        Args:
            second_order: whether the phase differentiates a gradient.
        """
        self._second_order = second_order
        for network in (self.generator, self.discriminator):
            recompute_in(network, self.activation_checkpointing and not second_order)

    @contextmanager
    def tracking_w_avg(self, samples: int) -> Iterator[None]:
        """Inside, ws of `latents` are collected; at the end the generator's mean w moves once towards their mean.

        Args:
            samples: of the whole batch, on all processes.
        """
        with tracking_w_avg(self.generator.mapping, samples) as self._track:
            yield
        self._track = None

    def latents(self, draw: Draw, *, track: bool = True) -> Tensor:
        """ws [n,L,W]; where two latents are mixed, the layers from the cut-off on are the second one's.

        Args:
            draw: with z.
            track: whether they count for the mean w; false where the same ws are computed again.
        """
        ws = self.generator.mapping(draw.z, draw.c, track_average=False)
        if draw.mixing_z is not None:
            other = self.generator.mapping(draw.mixing_z, draw.c, track_average=False)
            ws = torch.cat([ws[:, : draw.mixing_cutoff], other[:, draw.mixing_cutoff :]], dim=1)
        return self._track(ws) if track and self._track is not None else ws

    def synthesize(self, ws: Tensor, noise: dict[str, Tensor] | None) -> Tensor:
        """Images [n,C,H,W] of ws [n,L,W] and noise {layer: [n,1,r,r]}."""
        graphs = None if self._second_order else self._graphs
        run = self.generator.synthesis if graphs is None else graphs.synthesis
        return run(ws, noise_mode="random", noise=noise)

    def fakes(self, draw: Draw) -> Tensor:
        """Images [n,C,H,W] of the draw's latents and noise."""
        return self.synthesize(self.latents(draw), draw.noise)

    def discriminate(
        self, images: Tensor, labels: Tensor | None, augmentation: dict[str, Tensor] | None
    ) -> Tensor:
        """Logits [n,1] of images [n,C,H,W], augmented where there are draws."""
        if augmentation is not None and self.augment is not None:
            images = self.augment(images, draws=augmentation)
        graphs = None if self._second_order else self._graphs
        run = self.discriminator if graphs is None else graphs.discriminate
        return run(images, labels)

    def discriminate_both(self, fakes: Discriminated, reals: Discriminated) -> tuple[Tensor, Tensor]:
        """Logits of fakes and of reals, in one pass where they would not be compared with each other."""
        n = len(fakes[0])
        # A discriminator of the user's need not have this member: it may not compare samples with each other.
        group = getattr(self.discriminator, "group_size", None)
        if group is None or n % group or len(reals[0]) != n:
            return self.discriminate(*fakes), self.discriminate(*reals)
        images = join(fakes[0], reals[0], group)
        # A discriminator without labels next to a generator with labels is handed those of fakes alone.
        labels = None if fakes[1] is None or reals[1] is None else join(fakes[1], reals[1], group)
        draws = None
        if fakes[2] is not None and reals[2] is not None:
            draws = {name: join(fakes[2][name], reals[2][name], group) for name in fakes[2]}
        return separate(self.discriminate(images, labels, draws), group)

    def compile(self, n: int, learning: Mapping[str, Sequence[nn.Parameter]]) -> str | None:
        """Compiles, where `compile` asks for it, for parts of n samples; where it fails, training continues without.

        Args:
            n: samples of a part.
            learning: the parameters that learn at first, by network.
        Returns: a line about it; None = not compiled.
        """
        if not self.wants_compiled:
            return None
        try:
            graphs = CompiledNetworks(self.generator, self.discriminator)
            line = graphs.try_out(n, learning)
        # Anything that a compiler or its tools may raise.
        except Exception as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            return f"note        compile=true failed, continuing without: {reason[:200]}"
        self._graphs = graphs
        return line


class CompiledNetworks:
    """Both networks as compiled graphs, for the first-order phases.

    R1 and path length differentiate a gradient, which compiled graphs cannot; they keep the plain networks, whose
    values are the same but for rounding.

    Args:
        generator: on its device, in the precision of the first-order phases.
        discriminator: likewise.
    """

    def __init__(self, generator: Generator, discriminator: nn.Module):
        self.generator, self.discriminator = generator, discriminator
        # The bound methods, not the modules: nothing of the compiler's must get into the names of a checkpoint.
        self._synthesis = _compiled(generator.synthesis.forward)
        self._discriminate = _compiled(discriminator.forward)

    def synthesis(self, ws: Tensor, *, noise_mode: str, noise: dict[str, Tensor] | None) -> Tensor:
        """As the generator's synthesis network."""
        noise = None if noise is None else {name: _dense(values) for name, values in noise.items()}
        return self._synthesis(_dense(ws), noise_mode=noise_mode, noise=noise)

    def discriminate(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """As the discriminator."""
        return self._discriminate(_dense(images), None if labels is None else _dense(labels))

    def try_out(self, n: int, learning: Mapping[str, Sequence[nn.Parameter]]) -> str:
        """Compiles all graphs that training will need, for n samples of each kind, forwards and backwards.

        Args:
            n: samples of a part.
            learning: the parameters that learn at first, by network.
        Returns: a line about it.
        Raises: any error of the compiler.
        """
        start = time.perf_counter()
        # It warns where there is a CUDA compiler and no GPU, which changes nothing for a CPU's graphs.
        logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
        for learns in learning:
            for other, parameters in learning.items():
                for parameter in parameters:
                    parameter.requires_grad_(other == learns)
            # Of a network that is frozen as a whole no phase runs.
            if learning[learns]:
                self._once(n, learns)
        for parameters in learning.values():
            for parameter in parameters:
                parameter.requires_grad_(True)
        return f"compiled    in {time.perf_counter() - start:.0f} s; R1 and path length are not"

    def _once(self, n: int, learns: str) -> None:
        generator = self.generator
        weight = next(generator.parameters())
        z = weight.new_zeros(n, generator.z_dim)
        c = weight.new_zeros(n, generator.c_dim) if generator.c_dim else None
        noise = {name: weight.new_zeros(n, 1, *size) for name, size in generator.synthesis.noise_layers}
        with torch.set_grad_enabled(learns == "generator"):
            ws = generator.mapping(z, c, track_average=False)
            images = self.synthesis(ws, noise_mode="random", noise=noise)
        network: nn.Module = generator if learns == "generator" else self.discriminator
        passes = self.discriminate if learns == "generator" else self._discriminate_twice
        logits = passes(images, c)
        parameters = [p for p in network.parameters() if p.requires_grad]
        torch.autograd.grad(logits.sum(), parameters, allow_unused=True)

    def _discriminate_twice(self, images: Tensor, c: Tensor | None) -> Tensor:
        """As D-main does where fakes and reals share a pass; where not, n samples at a time are enough."""
        group = getattr(self.discriminator, "group_size", None)
        if group is None or len(images) % group:
            return self.discriminate(images, c)
        return self.discriminate(torch.cat([images, images]), None if c is None else torch.cat([c, c]))


def _compiled(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A graph for each kind of inputs: with gradients and without, of one batch or of two.

    They count by themselves, not together with those of an earlier job of the same sweep or of a run before it went
    back: past a limit torch would compile functions inside the network one by one instead, and print pages about it.
    """
    return torch.compile(function, dynamic=False, isolate_recompiles=True, recompile_limit=_MOST_GRAPHS)


def _dense(tensor: Tensor) -> Tensor:
    """The same values in the one layout that graphs are compiled for: another one would be compiled again.

    Not `contiguous`, which leaves any stride to a side of 1 element.
    """
    return tensor.reshape(-1).view(tensor.shape)
