"""The covariance of the aggregate posterior, held near the identity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, final

import torch
from torch import Tensor
from torch.distributions import Distribution

from nelbo.core import Model, Terms
from nelbo.distributions.factorised import Correlated, Factorised
from nelbo.distributions.special import product
from nelbo.errors import CompositionError, ConfigError
from nelbo.objectives.regularisers import Regulariser, Weight, Weighted
from nelbo.registry import register


@register("regulariser/dip")
@final
class InferredPriorCovariance(Regulariser):
    r"""beta KL + l_od sum_{i != j} C_ij^2 + l_d sum_i (C_ii - 1)^2, C a covariance of the codes: DIP-VAE.

    C is estimated on the batch, divided by its size. It has no units of nats: the weights give it those.

    Parameters
    ----------
    off_diagonal, diagonal
        l_od and l_d.
    form
        `i`: C is the covariance of the posterior means over the data. `ii`: that of z, to which the mean of the
        posterior covariances is added.
    beta
        Final weight of the KL; a warm-up moves it.

    Raises
    ------
    CompositionError
        If the posterior has no variance, or, at the first batch, no mean and covariance in closed form.

    References
    ----------
    Kumar, Sattigeri and Balakrishnan (2018), Variational inference of disentangled latent concepts from unlabeled
    observations, arXiv:1711.00848, eq. 6 (form i) and 7 (form ii).
    """

    def __init__(
        self, off_diagonal: float = 10.0, diagonal: float = 100.0, form: Literal["i", "ii"] = "i", beta: float = 1.0
    ) -> None:
        super().__init__()
        if not off_diagonal >= 0 or not diagonal >= 0:
            raise ConfigError(
                f"weights of a covariance must be 0 or more, but {off_diagonal} and {diagonal} were given"
            )
        self.off_diagonal, self.diagonal = off_diagonal, diagonal
        self.form = form
        self.beta = Weight("beta", beta)

    def serves(self, model: Model) -> None:
        super().serves(model)
        if not model.abilities.variance:
            raise CompositionError("this posterior has no variance, and so no covariance; give --posterior gaussian")

    def forward(self, terms: Terms, kl: Tensor | None) -> Mapping[str, Weighted]:
        assert kl is not None
        covariance = self._covariance(terms.q)
        diagonal = covariance.diagonal()
        apart = covariance.square().sum() - diagonal.square().sum()
        return {
            "kl": (self.beta.value, kl),
            "squared covariances": (self.off_diagonal, apart),
            "variances from 1, squared": (self.diagonal, (diagonal - 1).square().sum()),
        }

    def warm_up(self, share: float) -> Mapping[str, float]:
        return self.beta.move(share)

    def _covariance(self, q: Distribution) -> Tensor:
        """Over the batch, [D, D]."""
        if not isinstance(q, Factorised | Correlated):
            raise CompositionError(
                "the mean and the covariance of this posterior have no closed form; give --posterior gaussian or "
                "full-gaussian"
            )
        centred = q.mean - q.mean.mean(0)
        of_means = product(centred.mT, centred) / len(centred)
        if self.form == "i":
            return of_means
        within = q.covariance.mean(0) if isinstance(q, Correlated) else torch.diag(q.variance.mean(0))
        return of_means + within
