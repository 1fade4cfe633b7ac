"""The players of the first-order phases as compiled graphs.

R1 and path length differentiate a gradient, which compiled graphs cannot; they keep the plain players, whose values
are the same but for rounding.
"""

import time
from collections.abc import Iterable

import torch
from torch import Tensor, nn


class CompiledPlayers:
    """Compiles, tries both players forwards and backwards, and stands back where that fails.

    Args: generator, discriminator: on their device, in the precision of the main phases.
    """

    def __init__(self, generator: nn.Module, discriminator: nn.Module):
        self.generator, self.discriminator = generator, discriminator
        # The bound methods, not the modules: nothing of the compiler's must get into the names of a checkpoint.
        self.synthesis = torch.compile(generator.synthesis.forward, dynamic=False)
        self.judge = torch.compile(discriminator.forward, dynamic=False)

    def try_out(self, n: int, learning: dict[nn.Module, Iterable[nn.Parameter]]) -> str:
        """Compiles all graphs that training will need, for n samples of each kind.

        Args: learning: the parameters that learn, by player. Returns: a line about it. Raises: what the compiler does.
        """
        start = time.perf_counter()
        flags = [p for parameters in learning.values() for p in parameters]
        for player in learning:
            for other, parameters in learning.items():
                for parameter in parameters:
                    parameter.requires_grad_(other is player)
            self._once(n, player)
        for parameter in flags:
            parameter.requires_grad_(True)
        return f"compiled    in {time.perf_counter() - start:.0f} s; R1 and path length are not"

    def _once(self, n: int, player: nn.Module) -> None:
        generator = self.generator
        weight = generator.mapping.fc0.weight
        z = weight.new_zeros(n, generator.z_dim)
        c = weight.new_zeros(n, generator.c_dim) if generator.c_dim else None
        noise = {name: weight.new_zeros(n, 1, *size) for name, size in generator.synthesis.noise_layers}
        learns = player is generator
        with torch.set_grad_enabled(learns):
            ws = generator.mapping(z, c, track_average=False)
            images = self.synthesis(ws, noise_mode="random", noise=noise)
        logits = self.judge(images, c) if learns else self._judge_twice(images, c)
        parameters = [p for p in player.parameters() if p.requires_grad]
        torch.autograd.grad(logits.sum(), parameters, allow_unused=True)

    def _judge_twice(self, images: Tensor, c: Tensor | None) -> Tensor:
        """As D-main does where fakes and reals are judged at once; where not, n samples at a time are enough."""
        group = getattr(self.discriminator, "group_size", None)
        if group is None or len(images) % group:
            return self.judge(images, c)
        return self.judge(torch.cat([images, images]), None if c is None else torch.cat([c, c]))
