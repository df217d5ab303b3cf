"""The evidence lower bound, with both estimators of Kingma and Welling and a visible beta."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, final

from torch import Tensor

from nelbo.core import Batch, Draw, Gradient, Loss, Model, SinglePhase, Terms
from nelbo.errors import CompositionError, ConfigError
from nelbo.objectives.bounds import EvidenceLowerBound
from nelbo.objectives.gradients import Pathwise, check_draws
from nelbo.objectives.regularisers import Regulariser, WeightedKL
from nelbo.objectives.score import VIMCO
from nelbo.registry import register


class KLEstimator(ABC):
    """How KL(q(z given x) || p(z)) is estimated: [B] in nats."""

    analytic: ClassVar[bool]

    @abstractmethod
    def __call__(self, terms: Terms) -> Tensor: ...


@register("kl/analytic")
@final
class AnalyticKL(KLEstimator):
    """The closed form where one is known, else Monte Carlo (SGVB-B; Kingma and Welling (2013), eq. 7)."""

    analytic = True

    def __call__(self, terms: Terms) -> Tensor:
        return terms.rate if terms.kl is not None else _sampled(terms)


@register("kl/sampled")
@final
class SampledKL(KLEstimator):
    """The mean of log q(z given x) - log p(z) over the draws (SGVB-A; Kingma and Welling (2013), eq. 6)."""

    analytic = False

    def __call__(self, terms: Terms) -> Tensor:
        return _sampled(terms)


@register("objective/elbo")
@final
class ELBO(SinglePhase):
    r"""loss = -E_q[log p(x given z)] + beta KL(q(z given x) || p(z)); bound = the same at beta = 1, negated.

    Another regulariser takes the place of beta KL in the loss; the bound does not change.

    Parameters
    ----------
    model
        Emits `Terms`.
    samples
        L, the number of draws of z a datum.
    kl
        `AnalyticKL()` (default) or `SampledKL()`.
    beta
        Final weight of the KL. It is a buffer that only the trainer's warm-up moves, and it is always logged.
    gradient
        `Pathwise()` (default), `StickingTheLanding()`, or a score function for latents that have no reparameterisation
        (`NVIL(network)`, `VIMCO()`). All but the first see the KL by its draws.
    regulariser
        `FreeBits(0.5)`, `Capacity(25.0)`, `TotalCorrelation(rows)`, ... instead of beta KL; on the command line an
        objective by its own name.

    Raises
    ------
    ConfigError
        For a number out of range, or beta beside a regulariser.
    CompositionError
        If the posterior is a point and the regulariser needs a KL, or it does not go with the gradient or with the
        estimator.

    References
    ----------
    Kingma and Welling (2013), arXiv:1312.6114, eq. 3, 6, 7; beta: Higgins et al. (2017), eq. 4.
    """

    def __init__(
        self,
        model: Model,
        samples: int = 1,
        kl: KLEstimator | None = None,
        beta: float = 1.0,
        gradient: Gradient | None = None,
        regulariser: Regulariser | None = None,
    ) -> None:
        super().__init__()
        if samples < 1:
            raise ConfigError(f"the ELBO needs 1 draw of z or more, but --samples {samples} was given")
        if regulariser is not None and beta != 1:
            raise ConfigError("beta weighs the KL where no other regulariser is given; give beta to that one")
        self.regulariser = WeightedKL(beta) if regulariser is None else regulariser
        self.regulariser.serves(model)
        self.may_be_constant = self.regulariser.may_be_constant
        self.model = model
        self.samples = samples
        self.gradient = Pathwise() if gradient is None else gradient
        if isinstance(gradient, VIMCO) and samples < 2:
            raise ConfigError("gradient=vimco needs 2 draws or more; give e.g. samples=5")
        check_draws(self.gradient, model)
        if self.gradient.draw not in self.regulariser.draws:
            raise CompositionError(
                "this objective does not go with this gradient; leave gradient out, or use --objective elbo"
            )
        self.kl = _estimator(kl, self.gradient, self.regulariser)

    def warm_up(self, share: float) -> Mapping[str, float]:
        return self.regulariser.warm_up(share)

    def forward(self, batch: Batch) -> Loss:
        draw = self.gradient.draw
        terms = self.model.terms(batch, self.samples, draw, self.kl.analytic)
        log_px = terms.mean(terms.log_px)
        kl = self.kl(terms) if terms.has_rate else None
        added = self.regulariser(terms, kl)
        parts = {"likelihood": -log_px, **{name: weight * value for name, (weight, value) in added.items()}}
        if draw is Draw.SCORE:
            parts["score"] = self._score(terms, batch)
        figures = {name: value.detach() for name, (_, value) in added.items()}
        if kl is None:
            return terms.loss(parts, None, figures)
        return terms.loss(parts, log_px - kl, {**figures, "kl": kl.detach()})

    def _score(self, terms: Terms, batch: Batch) -> Tensor:
        """What the gradient of the draws' probabilities adds to the loss: the value 0, [B]."""
        log_w, bound = self.regulariser.log_weights(terms), EvidenceLowerBound()
        return bound(log_w, terms.log_r) - self.gradient(bound, log_w, terms, batch)


def _estimator(kl: KLEstimator | None, gradient: Gradient, regulariser: Regulariser) -> KLEstimator:
    if isinstance(gradient, Pathwise) and not regulariser.reads_densities:
        return AnalyticKL() if kl is None else kl
    if isinstance(kl, AnalyticKL):
        what = "this objective reads the densities of the draws and" if regulariser.reads_densities else "this gradient"
        raise CompositionError(f"{what} cannot use the closed form of the KL; leave kl=analytic out")
    return SampledKL()


def _sampled(terms: Terms) -> Tensor:
    if terms.log_pz is None or terms.log_qz is None:
        raise ConfigError("these terms hold no densities; use the analytic KL (--objective elbo:kl=analytic)")
    return terms.mean(terms.log_qz_given - terms.log_pz)
