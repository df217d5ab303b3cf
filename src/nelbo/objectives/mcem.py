"""Monte Carlo EM: latents drawn from their posterior by Hamiltonian Monte Carlo, and everything fitted to them."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from nelbo.core import Batch, Draw, Loss, Model, SinglePhase, Space
from nelbo.errors import CompositionError, ConfigError
from nelbo.objectives.bounds import ImportanceWeighted
from nelbo.objectives.regularisers import needs_density
from nelbo.registry import register
from nelbo.samplers.hamiltonian import Target, transition

PACE = 0.1  # of the step size, in its logarithm, for a share of proposals above or below the wanted one


@register("objective/mcem")
@final
class MCEM(SinglePhase):
    r"""loss = -log p(x, z) at z ~ p(z given x), drawn by Hamiltonian Monte Carlo; bound = that of q, as it stands.

    E-step: a chain for each datum starts at a draw of q(z given x) and makes some transitions that leave p(z given x)
    as it is; M-step: one gradient step of likelihood and prior at its end. q is fitted to the same latents (it lowers
    KL(p(z given x) || q(z given x))), so that chains start near where they go and the model can be used like any other.
    The step size follows the share of accepted proposals; it is saved with the weights.

    Parameters
    ----------
    model
        With latents that are real vectors; or that enumerates them all, and then the E-step is exact.
    transitions
        Of a chain in one E-step. A chain forgets its start slowly: with few the fit is biased towards q.
    leapfrog
        Steps of a transition.
    acceptance
        Share of proposals to be accepted.

    Raises
    ------
    CompositionError
        If the latents are not real vectors, or q has no density.

    References
    ----------
    Wei and Tanner (1990), A Monte Carlo implementation of the EM algorithm; Kingma and Welling (2013), Auto-encoding
    variational Bayes, arXiv:1312.6114, appendix E, whose chains start where the datum's last one ended.
    """

    log_step: Tensor

    def __init__(self, model: Model, transitions: int = 1, leapfrog: int = 10, acceptance: float = 0.9) -> None:
        super().__init__()
        if transitions < 1 or leapfrog < 1:
            raise ConfigError(f"an E-step needs 1 transition of 1 leapfrog step or more, not {transitions}, {leapfrog}")
        if not 0 < acceptance < 1:
            raise ConfigError(f"the share of accepted proposals must be between 0 and 1, but {acceptance} was given")
        needs_density("Monte Carlo EM", model)
        spaces = {group.space for group in model.groups.values()}
        self._enumerates = model.abilities.weighs_draws and spaces <= {Space.ONE_HOT, Space.BINARY}
        if not self._enumerates and not model.is_real:
            raise CompositionError(
                f"Monte Carlo EM moves latents that are real vectors, but these are {model.space}; use "
                "--objective wake-sleep, which takes any"
            )
        self.model = model
        self.transitions = transitions
        self.leapfrog = leapfrog
        self.acceptance = acceptance
        self.register_buffer("log_step", torch.tensor(-2.0))

    def forward(self, batch: Batch) -> Loss:
        terms = self.model.terms(batch, draw=Draw.SCORE)
        bound = terms.mean(terms.log_weights).detach()
        if not self.training:
            return terms.loss({"bound": -bound}, bound)
        if self._enumerates:
            shares, _ = ImportanceWeighted().slopes(terms.log_weights.detach(), terms.log_r)
            shares = shares.detach()  # p(z given x), all of it
            joint = (shares * (terms.log_px + terms.log_pz_given)).sum(0)
            recognition = (shares * terms.log_qz_given).sum(0)
            return terms.loss({"joint": -joint, "recognition": -recognition}, bound)
        z = self._moved(batch, terms.z)
        joint = self.model.log_joint(batch, z)[0]
        recognition = self.model.encode(batch).log_prob(z)[0]
        return terms.loss({"joint": -joint, "recognition": -recognition}, bound)

    @torch.no_grad()
    def _moved(self, batch: Batch, start: Tensor) -> Tensor:
        """Where chains from `start` [1, B, D] end, each with noise of its own."""
        generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        spread = torch.nan_to_num(self.model.encode(batch).variance, nan=1.0, posinf=1.0).clamp(min=1e-12)
        # Only the far end of the path is used: the near one may be any density.
        target = Target(lambda z: 0.0 * z.sum(-1), lambda z: self.model.log_joint(batch, z), spread)
        point = target.at(start)
        step = self.log_step.exp().expand(len(batch))
        for _ in range(self.transitions):
            point, taken = transition(target, point, 1.0, step, self.leapfrog, generator, shared=False)
            self.log_step += PACE * (taken.mean() - self.acceptance)
            step = self.log_step.exp().expand(len(batch))
        return point.z
