"""The prior conditioned on context."""

from __future__ import annotations

from typing import final

from torch import Tensor

from nelbo.arguments import Widths
from nelbo.core import Posterior, Prior
from nelbo.distributions.normal import DiagonalNormal, LogVariance
from nelbo.errors import CompositionError, ConfigError
from nelbo.networks.mlp import MLP
from nelbo.networks.precision import full_precision
from nelbo.registry import register


@register("prior/conditional")
@final
class ConditionalPrior(Prior):
    r"""p(z given c) = N(m(c), diag(s^2(c))), the prior of a conditional VAE: a network reads the context c.

    With the label as context each class has a Gaussian of its own. Its KL to a Gaussian posterior has a closed form.

    Parameters
    ----------
    dim
        Number of latent dimensions.
    context
        C, the number of context features.
    hidden
        Sizes of the hidden layers between the context and the 2 D outputs, means and log-variances.
    min_log_variance
        Smooth lower bound of the log-variances.

    Raises
    ------
    ConfigError
        If there is no context.

    References
    ----------
    Sohn, Lee and Yan (2015), Learning structured output representation using deep conditional generative models.
    """

    def __init__(
        self, dim: int, context: int = 0, hidden: Widths | int = (64,), min_log_variance: float = -14.0
    ) -> None:
        super().__init__()
        if dim < 1 or context < 1:
            raise ConfigError(
                f"a conditional prior needs 1 latent dimension and a context, but {dim} dimensions and {context} "
                "context features were given; condition on the label with --condition label, or use --prior normal"
            )
        self.dim = dim
        self.context = context
        self.network = MLP(context, 2 * dim, hidden)
        self.log_variance = LogVariance(min_log_variance)

    def forward(self, context: Tensor | None = None, posterior: Posterior | None = None) -> DiagonalNormal:
        """Batch shape [B], event shape [D], for contexts [B, C]."""
        if context is None:
            raise CompositionError("a conditional prior needs a context [B, C]; call it as prior(context)")
        loc, raw = full_precision(self.network(context)).chunk(2, -1)
        return DiagonalNormal(loc, self.log_variance(raw))
