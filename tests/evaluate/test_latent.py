"""Figures of the latents where the KL is one number for all of them, or has no closed form."""

from __future__ import annotations

import pytest
import torch

from nelbo.core import Batch
from nelbo.evaluate.latent import summarise_latents
from nelbo.likelihoods import BernoulliLikelihood
from nelbo.models import LatentVariableModel
from nelbo.networks import MLP
from nelbo.posteriors import GaussianPosterior, RelaxedCategoricalPosterior, VonMisesFisherPosterior
from nelbo.priors import CategoricalPrior, HyperspherePrior, StandardNormalPrior

X = (torch.rand(50, 6, generator=torch.Generator().manual_seed(0)) < 0.5).float()


def model(name: str) -> LatentVariableModel:
    torch.manual_seed(0)
    prior, posterior = {
        "normal": (StandardNormalPrior(4), GaussianPosterior(MLP(6, 8))),
        "sphere": (HyperspherePrior(4), VonMisesFisherPosterior(MLP(6, 5), 4)),
        "codes": (CategoricalPrior(4), RelaxedCategoricalPosterior(MLP(6, 4), 4)),
    }[name]
    return LatentVariableModel(prior, posterior, BernoulliLikelihood(MLP(4, 6), (6,))).eval()


@pytest.mark.parametrize(("name", "apart"), [("normal", True), ("sphere", False), ("codes", False)])
def test_a_joint_kl_is_a_rate_but_not_one_of_each_latent(name: str, apart: bool) -> None:
    found = summarise_latents(model(name), [Batch(X)])
    assert (found.kl is not None) is apart
    assert found.rate is not None
    terms = model(name).terms(Batch(X), samples=4_000)
    assert terms.log_qz is not None
    assert terms.log_pz is not None
    draws = (terms.log_qz - terms.log_pz).mean(1).detach().double()
    # Twenty draws of common noise where the closed form is missing.
    spread = float((terms.log_qz - terms.log_pz).detach().std(0).mean())
    error = float(draws.std()) / 4_000**0.5 + (spread / 20**0.5 if name == "codes" else 0.0)
    assert found.rate == pytest.approx(float(draws.mean()), abs=4.5 * error + 1e-6)
