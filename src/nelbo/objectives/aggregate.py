"""Fitting a prior to the codes of a model that stays as it is."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from nelbo.core import Batch, Loss, Posterior, Prior, SinglePhase


@final
class AggregatePosterior(SinglePhase):
    r"""loss = -E_x E_{q(z given x)} log p(z): maximum likelihood of p on the codes, 1/N sum_n q(z given x_n).

    With encoder and decoder fixed that is all of the bound which depends on the prior: a nat gained here is a nat of
    the bound. It is least where p is the aggregate posterior (Hoffman and Johnson (2016), ELBO surgery, section 1). z
    is drawn afresh at every look.

    Parameters
    ----------
    prior
        What is fitted, and all that is.
    posterior
        Read only: neither registered nor trained. It must be on the prior's device and in evaluation mode.
    """

    def __init__(self, prior: Prior, posterior: Posterior) -> None:
        super().__init__()
        self.prior = prior
        self._read = (posterior.requires_grad_(False),)  # in a tuple it is no submodule

    def forward(self, batch: Batch) -> Loss:
        (posterior,) = self._read
        with torch.no_grad():
            z: Tensor = posterior(batch.inputs, batch.context).sample()
        surprise = -self.prior(batch.context, posterior).log_prob(z)
        return Loss(surprise.mean(), None, {"prior": surprise})
