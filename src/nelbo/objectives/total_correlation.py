"""The KL taken apart into mutual information, total correlation and the divergence of single latents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, final

import torch
from torch import Tensor

from nelbo.core import Terms
from nelbo.distributions.factorised import Factorised
from nelbo.errors import CompositionError, ConfigError
from nelbo.objectives.regularisers import Regulariser, Weight, Weighted
from nelbo.registry import register

Estimator = Literal["stratified", "weighted"]
NAMES = ("mutual information", "total correlation", "dimension-wise kl")


@register("regulariser/beta-tc")
@final
class TotalCorrelation(Regulariser):
    r"""alpha I(x; z) + beta TC(z) + gamma sum_d KL(q(z_d) || p(z_d)) instead of the KL, their sum: beta-TCVAE.

    At the draws z ~ q(z given x) of a batch the three are log q(z given x) - log q(z), log q(z) - sum_d log q(z_d) and
    sum_d log q(z_d) - log p(z), with q(z) = 1/N sum_n q(z given x_n) over the N training rows estimated by the batch.
    With all weights 1 the loss is that of the ELBO, whatever the estimate.

    Parameters
    ----------
    rows
        N.
    alpha, beta, gamma
        Final weights; a warm-up moves all three.
    estimator
        `stratified`: q(z given x) of the row that z comes from counts 1 / N, the others of the batch share the rest
        equally, so that the estimate of q(z) is unbiased. The paper gives one of them another share; this is its mean
        over which one. `weighted`: all M rows of a batch count 1 / (N M), 1 / N in sum, of which the row that z comes
        from has far more than its share: its figures are off by many nats, and bear its name.

    Raises
    ------
    CompositionError
        At the first batch, if q(z given x) is no product over latent dimensions.

    References
    ----------
    Chen et al. (2018), Isolating sources of disentanglement in VAEs, arXiv:1802.04942, section 3 and appendix C.
    """

    reads_densities = True
    own_beta = True

    def __init__(
        self,
        rows: int,
        alpha: float = 1.0,
        beta: float = 6.0,
        gamma: float = 1.0,
        estimator: Estimator = "stratified",
    ) -> None:
        super().__init__()
        if rows < 1:
            raise ConfigError(f"the total correlation needs the number of training rows, but {rows} was given")
        self.rows = rows
        self.alpha, self.beta, self.gamma = (
            Weight(name, final) for name, final in (("alpha", alpha), ("beta", beta), ("gamma", gamma))
        )
        self.estimator = estimator

    def forward(self, terms: Terms, kl: Tensor | None) -> Mapping[str, Weighted]:
        if terms.log_qz is None or terms.log_pz is None or not isinstance(terms.q, Factorised):
            raise CompositionError(
                "the total correlation needs a posterior that is a product over latent dimensions; give --posterior "
                "gaussian, or --objective factor, which needs draws only"
            )
        joint, product = self._aggregate(terms.q, terms.z)
        values = (terms.log_qz - joint, joint - product, product - terms.log_pz)
        weights = (self.alpha.value, self.beta.value, self.gamma.value)
        of = "" if self.estimator == "stratified" else " (weighted sampling)"
        return {f"{name}{of}": (w, terms.mean(v)) for name, w, v in zip(NAMES, weights, values, strict=True)}

    def warm_up(self, share: float) -> Mapping[str, float]:
        return {**self.alpha.move(share), **self.beta.move(share), **self.gamma.move(share)}

    def _aggregate(self, q: Factorised, z: Tensor) -> tuple[Tensor, Tensor]:
        """Estimates of log q(z) and sum_d log q(z_d) at the draws, [K, B] each."""
        cells = q.log_prob_per_dimension(z.unsqueeze(2))  # [K, B, B, D]  z of one row under q of another
        share = self._log_shares(cells)
        joint = torch.logsumexp(cells.sum(-1) + share, 2)
        return joint, torch.logsumexp(cells + share.unsqueeze(-1), 2).sum(-1)

    def _log_shares(self, like: Tensor) -> Tensor:
        """log of what each row of the batch counts in q(z) at the draws of each, [B, B]."""
        batch = like.shape[1]
        own = 1.0 / self.rows if batch > 1 else 1.0
        others = (1.0 - own) / max(1, batch - 1)
        if self.estimator == "weighted":
            own = others = 1.0 / (self.rows * batch)
        return like.new_full((batch, batch), others).fill_diagonal_(own).log()
