"""The autoencoder's objective is the reconstruction, with or without the prior's pull."""

from __future__ import annotations

import pytest
import torch

from nelbo import Batch, LatentVariableModel
from nelbo.errors import ConfigError
from nelbo.likelihoods import GaussianLikelihood
from nelbo.networks import MLP
from nelbo.objectives import Autoencoder
from nelbo.posteriors import DeltaPosterior
from nelbo.priors import StandardNormalPrior


def model() -> LatentVariableModel:
    torch.manual_seed(0)
    decoder = GaussianLikelihood(MLP(2, 5), (5,), sigma="unit")
    return LatentVariableModel(StandardNormalPrior(2), DeltaPosterior(MLP(5, 2), 2), decoder)


def test_with_unit_variance_it_is_half_the_squared_error() -> None:
    autoencoder, x = model(), torch.randn(7, 5)
    loss = Autoencoder(autoencoder)(Batch(x))
    code = autoencoder.encode(Batch(x)).mean
    error = (autoencoder.decode(code).mean - x).square().sum(-1)
    expected = 0.5 * error + 2.5 * torch.log(torch.tensor(2 * torch.pi))
    torch.testing.assert_close(loss.loss, expected.mean())
    assert loss.bound is None
    assert set(loss.parts) == {"likelihood"}


def test_the_prior_pulls_codes_together() -> None:
    autoencoder, x = model(), torch.randn(7, 5)
    plain, pulled = Autoencoder(autoencoder)(Batch(x)), Autoencoder(autoencoder, weight=2.0)(Batch(x))
    code = autoencoder.encode(Batch(x)).mean
    log_p = -0.5 * code.square().sum(-1) - torch.log(torch.tensor(2 * torch.pi))
    torch.testing.assert_close(pulled.loss - plain.loss, -2 * log_p.mean())


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(ConfigError, match="0 or more"):
        Autoencoder(model(), weight=-1.0)
