"""The latent-variable model: one prior, one posterior, one likelihood."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor
from torch.distributions import Distribution

from nelbo.core import Batch, Draw, Likelihood, Model, Posterior, Prior, Space, Terms
from nelbo.distributions.drawing import rsample_with_log_prob
from nelbo.distributions.kl import rate, rate_of_draws
from nelbo.errors import CompositionError
from nelbo.registry import register, registered


@register("model/latent")
@final
class LatentVariableModel(Model):
    """p(x, z) = p(z) p(x given z), with a recognition model q(z given x).

    Raises
    ------
    CompositionError
        If prior and posterior are over latent spaces of different sizes, kinds or groups of categories, or if their
        bound is infinite.

    References
    ----------
    Kingma and Welling (2013), Auto-encoding variational Bayes, arXiv:1312.6114, section 2.
    """

    def __init__(self, prior: Prior, posterior: Posterior, likelihood: Likelihood) -> None:
        super().__init__()
        emitted, dim = getattr(posterior, "dim", None), int(getattr(prior, "dim", 0))
        if emitted is not None and dim and emitted != dim:
            raise CompositionError(
                f"the prior has {dim} latent dimensions but the posterior {emitted}; give both the same size"
            )
        if prior.space is not posterior.space:
            raise CompositionError(
                f"{_name(prior)} is over {prior.space.value} but {_name(posterior)} over {posterior.space.value}; "
                f"{_remedy(prior.space)}, or {_remedy(posterior.space)}"
            )
        if (groups := getattr(prior, "groups", 0)) != getattr(posterior, "groups", groups):
            raise CompositionError(
                f"{_name(prior)} has {groups} groups of categories but {_name(posterior)} {posterior.groups}; "
                "give both the same groups=..."
            )
        if prior.needs_variance and not posterior.has_variance:
            raise CompositionError(_infinite(prior, posterior))
        self.prior = prior
        self.posterior = posterior
        self.likelihood = likelihood
        self.groups: Mapping[str, slice] = {"z": slice(0, dim)}

    def encode(self, batch: Batch) -> Distribution:
        return self.posterior(batch.inputs, batch.context)

    def decode(self, z: Tensor, context: Tensor | None = None) -> Distribution:
        return self.likelihood(self.prior.code(z), context)

    def sample(self, n: int, context: Tensor | None = None) -> Distribution:
        prior = self.prior(context, self.posterior)
        draws = prior.sample((n,))
        if context is None:
            return self.decode(draws)
        if not prior.batch_shape:
            draws = prior.sample((n, context.shape[0]))
        return self.decode(draws.flatten(0, 1), context.repeat(n, 1))

    def terms(self, batch: Batch, samples: int = 1, draw: Draw = Draw.PATHWISE, analytic: bool = False) -> Terms:
        """The pieces of the bound for K = `samples` draws.

        With `analytic`, the KL is in closed form where one is known for this pair of prior and posterior, or estimated
        with its closed-form part (a flow, `rate_of_draws`); else the densities are returned and the KL is Monte Carlo.
        """
        posterior = self.posterior
        q = posterior(batch.inputs, batch.context)
        prior = self.prior
        p = prior(batch.context, posterior)
        closed_form = rate(q, p) if analytic else None
        drawn = rate_of_draws(q, p, samples) if analytic and closed_form is None and draw is Draw.PATHWISE else None
        if drawn is not None:
            z, kl = drawn
            return Terms(z, self.likelihood.log_px(prior.code(z), batch), q, kl=kl, p=p)
        scored = closed_form is None and posterior.has_density
        z, log_qz = rsample_with_log_prob(q, samples, draw, density=scored)
        log_px = self.likelihood.log_px(prior.code(z), batch)
        if closed_form is not None:
            return Terms(z, log_px, q, kl=closed_form.unsqueeze(1), p=p)
        return Terms(z, log_px, q, log_pz=p.log_prob(z), log_qz=log_qz, p=p)

    def log_joint(self, batch: Batch, z: Tensor) -> Tensor:
        prior = self.prior(batch.context, self.posterior)
        log_joint: Tensor = self.likelihood.log_px(self.prior.code(z), batch) + prior.log_prob(z)
        return log_joint

    @property
    def has_density(self) -> bool:
        """Whether q has a density, without which there is no bound and no likelihood."""
        return self.posterior.has_density

    @property
    def can_stop(self) -> bool:
        """Whether q can hold its parameters constant inside log q."""
        return self.posterior.can_stop

    @property
    def is_reparameterised(self) -> bool:
        """Whether draws of q have a gradient, without which an objective needs a score function."""
        return self.posterior.is_reparameterised

    @property
    def latent(self) -> int:
        """Number of latent dimensions."""
        return max(int(part.stop) for part in self.groups.values())

    @torch.no_grad()
    def reconstruct(self, batch: Batch) -> Distribution:
        """p(x given z) at the posterior mean."""
        return self.decode(self.encode(batch).mean, batch.context)

    def discrete(self) -> LatentVariableModel:
        """The model that this one relaxes: discrete latents of the same logits, the very same networks and decoder.

        Its likelihood is not the relaxed one's, of which the bound of the relaxed model says nothing: score it by
        itself (Maddison, Mnih and Teh (2017), arXiv:1611.00712, section 5).

        Raises
        ------
        CompositionError
            If the latents are no relaxation.
        """
        parts = [getattr(part, "discrete", None) for part in (self.prior, self.posterior)]
        if None in parts:
            raise CompositionError(
                f"{_name(self.prior)} is over {self.prior.space.value}, which relax no discrete latents; leave "
                f"--discrete out, or {_remedy(Space.RELAXED_BINARY)}"
            )
        prior, posterior = (make() for make in parts if make is not None)
        return LatentVariableModel(prior, posterior, self.likelihood).train(self.training)


def _name(part: Prior | Posterior) -> str:
    kind = "prior" if isinstance(part, Prior) else "posterior"
    return f"the {kind} {str(vars(part).get('_part', type(part).__name__)).rpartition('/')[2]!r}"


def _remedy(space: Space) -> str:
    """The parts over a space, as flags."""

    def names(kind: str) -> str:
        return " or ".join(name for name, cls in registered(kind) if getattr(cls, "space", None) is space)

    return f"for {space.value} give --prior {names('prior')} with --posterior {names('posterior')}"


def _infinite(prior: Prior, posterior: Posterior) -> str:
    """What is infinite, why, and the priors under which it is not."""
    fitting = " or ".join(
        f"--prior {name}"
        for name, cls in registered("prior")
        if getattr(cls, "space", None) is posterior.space and not getattr(cls, "needs_variance", True)
    )
    return (
        f"{_name(posterior)} has no variance, so that with {_name(prior)}, under which a bound may need one, it can be "
        f"minus infinity; give {fitting}, or a posterior with lighter tails such as --posterior student-t"
    )
