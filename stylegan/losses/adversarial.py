"""Adversarial loss: non-saturating logistic."""

import torch.nn.functional as F
from torch import Tensor


class NonSaturatingLogistic:
    """Non-saturating logistic loss. Any object with these two methods can take its place.

    Source: Goodfellow et al. 2014, section 3; softplus form as in Karras et al. 2020.
    """

    def generator(self, fake_logits: Tensor) -> Tensor:
        """[N,1] logits of fakes → [N], to be minimised by the generator: −log σ(D(G(z)))."""
        return F.softplus(-fake_logits).flatten()

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """[N,1] logits of reals and of fakes → [N], to be minimised by the discriminator.

        −log σ(D(real)) − log(1 − σ(D(fake))); sample i of both stands in entry i.
        """
        return (F.softplus(-real_logits) + F.softplus(fake_logits)).flatten()
