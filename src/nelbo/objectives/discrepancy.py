"""The maximum mean discrepancy between codes and draws of the prior."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, final

import torch
from torch import Size, Tensor
from torch.distributions import Distribution

from nelbo.core import Model, Terms
from nelbo.distributions.special import product
from nelbo.errors import CompositionError, ConfigError
from nelbo.objectives.gradients import needs_equal_weights
from nelbo.objectives.regularisers import Regulariser, Weight, Weighted, needs_density
from nelbo.registry import register

KERNELS: Mapping[str, Callable[[Tensor, float], Tensor]] = {
    "imq": lambda squares, width: width / (width + squares),
    "rbf": lambda squares, width: torch.exp(-squares / width),
}


@register("regulariser/mmd")
@final
class MaximumMeanDiscrepancy(Regulariser):
    r"""(1 - alpha) KL + (alpha + lambda - 1) MMD^2(q(z), p(z)): InfoVAE; with alpha = 1, no KL at all, WAE-MMD.

    MMD^2 = E k(z, z') + E k(y, y') - 2 E k(z, y), z, z' ~ q(z), y, y' ~ p(z), is estimated without bias by a batch of
    codes and as many draws of the model's prior: the mean of k(z_i, z_j) + k(y_i, y_j) - k(z_i, y_j) - k(z_j, y_i) over
    i != j (Gretton et al. (2012), A kernel two-sample test, eq. 4), which can be below 0. It has no units of nats:
    lambda gives it those. The bound is reported beside where the posterior has a density; with alpha = 1 it may be a
    point.

    Parameters
    ----------
    weight
        lambda.
    alpha
        Of the mutual information, 1 or less.
    kernel
        `imq`: C / (C + d^2), the inverse multiquadratic; `rbf`: exp(-d^2 / C); C = 2 D `scale`.
    scale
        1 suits a prior of variance 1: 2 D is then the mean of d^2 between two of its draws.

    Raises
    ------
    CompositionError
        If alpha is not 1 and the posterior is a point; at the first batch, if the prior learns, its draws have no
        gradient and there is no KL from which it could learn.

    References
    ----------
    Zhao, Song and Ermon (2017), InfoVAE, arXiv:1706.02262; Tolstikhin et al. (2018), Wasserstein auto-encoders,
    arXiv:1711.01558, algorithm 2.
    """

    def __init__(
        self, weight: float = 100.0, alpha: float = 1.0, kernel: Literal["imq", "rbf"] = "imq", scale: float = 1.0
    ) -> None:
        super().__init__()
        if not alpha <= 1 or not weight >= 0 or not scale > 0:
            raise ConfigError(
                f"mmd needs alpha of 1 or less, a weight of 0 or more and a scale above 0, but {alpha}, {weight} and "
                f"{scale} were given"
            )
        if alpha + weight < 1:
            raise ConfigError(f"alpha + weight must be 1 or more, but {alpha} and {weight} were given")
        self.weight, self.alpha = weight, alpha
        self.kernel, self.scale = kernel, scale
        self.beta = Weight("beta", 1 - alpha)  # of the KL
        self._prior_learns = False

    def serves(self, model: Model) -> None:
        if self.alpha != 1:
            needs_density("mmd with alpha below 1", model)
        needs_equal_weights("mmd", model)
        self._prior_learns = model.sides().prior_learns

    def forward(self, terms: Terms, kl: Tensor | None) -> Mapping[str, Weighted]:
        discrepancy = self._discrepancy(terms.z, self._draws(terms))
        added: dict[str, Weighted] = {"mmd": (self.alpha + self.weight - 1, discrepancy)}
        if kl is None or self.alpha == 1:
            return added
        return {"kl": (self.beta.value, kl), **added}

    def warm_up(self, share: float) -> Mapping[str, float]:
        return {} if self.alpha == 1 else self.beta.move(share)

    def _draws(self, terms: Terms) -> Tensor:
        """As many of the prior as there are codes, [K, B, D]."""
        p = terms.p
        if p is None:
            raise CompositionError("this model hands out no prior to draw from; use --objective elbo")
        if self._prior_learns and self.alpha == 1 and not p.has_rsample:
            raise CompositionError(
                "this prior would stay as it starts: its draws have no gradient, and alpha=1 leaves no KL to learn "
                "from; give alpha below 1, --prior standard, or fit it afterwards (nelbo fit-prior)"
            )
        shape = terms.z.shape[:1] if p.batch_shape else terms.z.shape[:2]
        return _drawn(p, shape)

    def _discrepancy(self, z: Tensor, y: Tensor) -> Tensor:
        """MMD^2 of [K, B, D] and [K, B, D], the mean over K; 0 where there is one row only."""
        rows = z.shape[1]
        both = torch.cat([z, y], 1)
        sizes = both.square().sum(-1)
        squares = sizes.unsqueeze(1) + sizes.unsqueeze(2) - 2 * product(both, both.mT)
        k = KERNELS[self.kernel](squares.clamp(min=0.0), 2.0 * z.shape[-1] * self.scale)
        of_z, of_y, across = k[:, :rows, :rows], k[:, rows:, rows:], k[:, :rows, rows:]
        h = of_z + of_y - 2 * across
        total = h.sum() - h.diagonal(dim1=1, dim2=2).sum()
        return total / (len(z) * max(1, rows * (rows - 1)))


def _drawn(p: Distribution, shape: Size) -> Tensor:
    return p.rsample(shape) if p.has_rsample else p.sample(shape)
