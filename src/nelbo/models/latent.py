"""The latent-variable model: one prior, one posterior, one likelihood."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from nelbo.core import (
    Abilities,
    Batch,
    Draw,
    FreePosterior,
    Group,
    Likelihood,
    LikelihoodModel,
    Posterior,
    Prior,
    Sides,
    Space,
    Terms,
)
from nelbo.distributions.drawing import rsample_with_log_prob
from nelbo.distributions.kl import rate, rate_of_draws
from nelbo.errors import CompositionError
from nelbo.networks.mlp import apply
from nelbo.networks.reading import Reading
from nelbo.registry import register, registered


@register("model/latent")
@final
class LatentVariableModel(LikelihoodModel):
    """p(x, z) = p(z) p(x given z), with a recognition model q(z given x).

    Parameters
    ----------
    prior, posterior, likelihood
        Over the same latents.
    reading
        How the posterior reads x, which comes in the units of the data: scaled, or logarithms of counts. The likelihood
        has a scale of its own.

    Raises
    ------
    CompositionError
        If prior and posterior are over latent spaces of different sizes, kinds or groups of categories, or if their
        bound is infinite.

    References
    ----------
    Kingma and Welling (2013), Auto-encoding variational Bayes, arXiv:1312.6114, section 2.
    """

    def __init__(
        self, prior: Prior, posterior: Posterior, likelihood: Likelihood, reading: Reading | None = None
    ) -> None:
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
        super().__init__({"z": Group(slice(0, dim or int(emitted or 0)), prior.space)})
        self.prior = prior
        self.posterior = posterior
        self.likelihood = likelihood
        self.reading = reading

    @property
    def abilities(self) -> Abilities:
        posterior = self.posterior
        return Abilities(
            density=posterior.has_density,
            reparameterised=posterior.is_reparameterised,
            variance=posterior.has_variance,
            stoppable=posterior.can_stop,
        )

    def sides(self) -> Sides:
        return Sides((self.prior,), (self.likelihood,), (self.posterior,))

    def prior_of(self, context: Tensor | None = None) -> Distribution:
        return self.prior(context, self.posterior)

    def encode(self, batch: Batch) -> Distribution:
        return self.posterior(self._read(batch), batch.context)

    def code(self, z: Tensor) -> Tensor:
        return self.prior.code(z)

    def terms(self, batch: Batch, samples: int = 1, draw: Draw = Draw.PATHWISE, analytic: bool = False) -> Terms:
        """The pieces of the bound for K = `samples` draws.

        With `analytic`, the KL is in closed form where one is known for this pair of prior and posterior, or estimated
        with its closed-form part (a flow, `rate_of_draws`); else the densities are returned and the KL is Monte Carlo.
        """
        posterior = self.posterior
        q = posterior(self._read(batch), batch.context)
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

    def rates(self, q: Distribution, context: Tensor | None = None) -> Mapping[str, Tensor]:
        closed_form = rate(q, self.prior_of(context))
        return {} if closed_form is None else {"z": closed_form}

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
        return LatentVariableModel(prior, posterior, self.likelihood, self.reading).train(self.training)

    def free_posterior(self, batch: Batch) -> FreePosterior:
        network = getattr(self.posterior, "network", None)
        if not isinstance(network, nn.Module):
            raise CompositionError(
                f"{type(self.posterior).__name__} keeps no `network` whose outputs could be improved row by row; give "
                "it one as an attribute of that name"
            )
        x, context = self._read(batch), batch.context
        with torch.no_grad():
            free = _Given(apply(network, x, context).clone())
        # To the copy the network counts as copied already: its weights are not.
        posterior = copy.deepcopy(self.posterior, {id(network): free})
        has_shared = any(parameter is not free.outputs for parameter in posterior.parameters())
        return FreePosterior(lambda: posterior(x, context), free.outputs, has_shared)

    def _read(self, batch: Batch) -> Tensor:
        """What the posterior reads: x (corrupted, where it is) in the scale that its network works in."""
        x = batch.inputs
        return x if self.reading is None else self.reading(x)


@final
class _Given(nn.Module):
    """Outputs that stand where a network was: one set a row, whatever is read."""

    def __init__(self, outputs: Tensor) -> None:
        super().__init__()
        self.outputs = nn.Parameter(outputs)  # [B, F]

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        return self.outputs


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
