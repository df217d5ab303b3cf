"""Posteriors of independent positive latents: exponential, log-normal or gamma."""

from __future__ import annotations

from typing import final

import torch.nn.functional as F
from torch import Tensor, nn

from nelbo.core import Space
from nelbo.distributions.normal import LogVariance
from nelbo.distributions.positive import DiagonalExponential, DiagonalGamma, DiagonalLogNormal
from nelbo.posteriors.amortised import Amortised
from nelbo.registry import register

LEAST = 0.2  # of a gamma's shape: below, draws that single precision rounds to 0 are no longer rare


@register("posterior/exponential")
@final
class ExponentialPosterior(Amortised):
    r"""q(z given x) = prod_d exp(-z_d / m_d(x)) / m_d(x) on z_d > 0, z = -m log(1 - u).

    Reparameterised by the inverse CDF at u uniform, the first of the ways in the reference.

    Parameters
    ----------
    network
        Emits [N, D]: raw 2 log m, the log-variance.
    dim
        D.
    min_log_variance
        Smooth lower bound of 2 log m.

    References
    ----------
    Kingma and Welling (2013), Auto-encoding variational Bayes, arXiv:1312.6114, section 2.4.
    """

    space = Space.POSITIVE

    def __init__(self, network: nn.Module, dim: int, min_log_variance: float = -14.0) -> None:
        super().__init__("an exponential posterior", network, dim, self.outputs(dim))
        self.log_variance = LogVariance(min_log_variance)

    @classmethod
    def outputs(cls, dim: int) -> int:
        return dim

    def forward(self, x: Tensor, context: Tensor | None = None) -> DiagonalExponential:
        raw = self.emit(x, context)
        return DiagonalExponential(0.5 * self.log_variance(raw))


@register("posterior/log-normal")
@final
class LogNormalPosterior(Amortised):
    r"""q(z given x): log z ~ N(m(x), diag(s^2(x))), z = exp(m + s e) with e ~ N(0, I).

    Reparameterised by composition, the third of the ways in the reference.

    Parameters
    ----------
    network
        Emits [N, 2 D]: means of log z, then their log-variances.
    dim
        D.
    min_log_variance
        Smooth lower bound of the log-variances of log z.

    References
    ----------
    Kingma and Welling (2013), Auto-encoding variational Bayes, arXiv:1312.6114, section 2.4.
    """

    space = Space.POSITIVE

    def __init__(self, network: nn.Module, dim: int, min_log_variance: float = -14.0) -> None:
        super().__init__("a log-normal posterior", network, dim, self.outputs(dim))
        self.log_variance = LogVariance(min_log_variance)

    def forward(self, x: Tensor, context: Tensor | None = None) -> DiagonalLogNormal:
        loc, raw = self.emit(x, context).chunk(2, -1)
        return DiagonalLogNormal(loc, 0.5 * self.log_variance(raw))


@register("posterior/gamma")
@final
class GammaPosterior(Amortised):
    r"""q(z given x) = prod_d Gamma(z_d; shape k_d(x), mean m_d(x)), variance m^2 / k.

    A gamma has neither a location and a scale nor an inverse CDF in closed form; draws by rejection have the implicit
    gradient dz / dk = -(dF / dk) / q(z), which is that of the inverse CDF.

    Parameters
    ----------
    network
        Emits [N, 2 D]: log m, then raw k; k = softplus(raw) + 0.2.
    dim
        D.

    References
    ----------
    Figurnov, Mohamed and Mnih (2018), Implicit reparameterization gradients, arXiv:1805.08498.
    """

    space = Space.POSITIVE

    def __init__(self, network: nn.Module, dim: int) -> None:
        super().__init__("a gamma posterior", network, dim, self.outputs(dim))

    def forward(self, x: Tensor, context: Tensor | None = None) -> DiagonalGamma:
        log_mean, raw = self.emit(x, context).chunk(2, -1)
        return DiagonalGamma(log_mean, (F.softplus(raw) + LEAST).log())
