"""Adversarial loss: the non-saturating logistic one."""

import torch.nn.functional as F
from torch import Tensor


class NonSaturatingLogistic:
    """Non-saturating logistic loss. Any object with these two methods can take its place.

    Source: Goodfellow et al. 2014, section 3; softplus form as in Karras et al. 2020.
    """

    def generator(self, fake_logits: Tensor) -> Tensor:
        """Minimised by the generator: −log σ(D(G(z))).

        Args:
            fake_logits: [N,1].
        Returns: [N].
        """
        return F.softplus(-fake_logits).flatten()

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Minimised by the discriminator: −log σ(D(real)) − log(1 − σ(D(fake))).

        Args:
            real_logits: [N,1].
            fake_logits: [N,1].
        Returns: [N]; entry i is of sample i of both.
        """
        return (F.softplus(-real_logits) + F.softplus(fake_logits)).flatten()
