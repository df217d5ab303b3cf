"""The second-stage prior: a small VAE over the latents."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from nelbo.arguments import Widths
from nelbo.core import Posterior, Prior
from nelbo.distributions.latent_marginal import LatentMarginal
from nelbo.distributions.normal import DiagonalNormal, LogVariance, StandardNormal
from nelbo.errors import ConfigError
from nelbo.networks.mlp import MLP
from nelbo.networks.precision import full_precision
from nelbo.registry import register


@register("prior/second-stage")
@final
class SecondStagePrior(Prior):
    r"""p(z) = integral of N(z; f(u), diag(s^2)) N(u; 0, I) du, itself a small VAE, with q(u given z) of its own.

    Draws are exact: u, then z. The density has no closed form; its logarithm is estimated by S importance samples,

        log (1/S) sum_s N(z; f(u_s), s^2) N(u_s; 0, I) / q(u_s given z),  u_s ~ q(u given z).

    The estimate of p(z) is unbiased and positive, so (Andrieu and Roberts (2009)) what is built on it stays sound: the
    importance weight of z, p(x given z) p(z) / q(z given x), keeps its expectation p(x), and the importance-sampled
    log p(x) stays a lower bound in expectation, which rises to log p(x) with the number of draws of z, for any S. The
    estimate of log p(z) is a lower bound in expectation, and so is the ELBO that it enters. A single figure may lie
    above. Both bounds tighten as S grows.

    Fitted after the model it is the second stage of Dai and Wipf; trained with it, a VAE with two layers of latents.
    In training u is drawn afresh; in evaluation from fixed noise, common to all rows, so that a row's score does not
    depend on its neighbours.

    Parameters
    ----------
    dim
        Number of latent dimensions.
    latent
        Dimensions of u; 0 for as many as z has, the choice of Dai and Wipf.
    hidden
        Sizes of the hidden layers of u's encoder; its decoder mirrors them.
    samples
        S.
    min_log_variance
        Smooth lower bound of the log-variances. s^2 is learned once a dimension (the paper: once) and starts at 1.

    References
    ----------
    Dai and Wipf (2019), Diagnosing and enhancing VAE models, arXiv:1903.05789; the estimate: Burda et al.
    (2016), arXiv:1509.00519, eq. 8, and Andrieu and Roberts (2009), The pseudo-marginal approach for efficient Monte
    Carlo computations.
    """

    like: Tensor

    def __init__(
        self,
        dim: int,
        latent: int = 0,
        hidden: Widths | int = (128, 128),
        samples: int = 5,
        min_log_variance: float = -14.0,
    ) -> None:
        super().__init__()
        if dim < 1 or latent < 0 or samples < 1:
            raise ConfigError(
                "a second-stage prior needs 1 dimension and 1 sample or more and no negative number of latents, but "
                f"dim={dim}, samples={samples} and latent={latent} were given; use e.g. --latent 20 --prior "
                "second-stage:samples=5"
            )
        self.dim = dim
        self.latent = latent or dim
        self.samples = samples
        sizes = (hidden,) if isinstance(hidden, int) else tuple(hidden)
        self.encoder = MLP(dim, 2 * self.latent, sizes)
        self.decoder = MLP(self.latent, dim, sizes[::-1])
        self.log_variance = LogVariance(min_log_variance)
        self.raw_log_variance = nn.Parameter(self.log_variance.inverse(torch.zeros(dim)))
        self.register_buffer("like", torch.zeros(()), persistent=False)  # follows the module's device and type

    def forward(self, context: Tensor | None = None, posterior: Posterior | None = None) -> LatentMarginal:
        base = StandardNormal(self.latent, self.like)
        return LatentMarginal(base, self._encode, self._decode, self.dim, self.samples, fresh=self.training)

    def _encode(self, z: Tensor) -> DiagonalNormal:
        """q(u given z)."""
        loc, raw = full_precision(self.encoder(z)).chunk(2, -1)
        return DiagonalNormal(loc, self.log_variance(raw))

    def _decode(self, u: Tensor) -> DiagonalNormal:
        """p(z given u)."""
        loc = full_precision(self.decoder(u))
        return DiagonalNormal(loc, self.log_variance(self.raw_log_variance).expand_as(loc))
