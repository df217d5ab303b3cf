"""The standard normal prior."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from nelbo.errors import ConfigError
from nelbo.priors import StandardNormalPrior


def test_it_is_the_standard_normal_whatever_the_context() -> None:
    z = torch.randn(5, 4, 3).double()
    prior = StandardNormalPrior(3).double()
    expected = multivariate_normal(np.zeros(3)).logpdf(z.numpy())
    np.testing.assert_allclose(prior().log_prob(z), expected, rtol=1e-12)
    np.testing.assert_allclose(prior(torch.zeros(4, 2)).log_prob(z), expected, rtol=1e-12)


def test_draws_follow_the_modules_type() -> None:
    prior = StandardNormalPrior(3)
    assert prior().sample((5,)).dtype == torch.float32
    assert prior.double()().sample((5,)).dtype == torch.float64


def test_it_holds_nothing_to_train_or_to_save() -> None:
    prior = StandardNormalPrior(3)
    assert list(prior.parameters()) == []
    assert prior.state_dict() == {}


@pytest.mark.parametrize("dim", [0, -1])
def test_a_latent_space_without_dimensions_is_refused(dim: int) -> None:
    with pytest.raises(ConfigError, match=r"needs 1 dimension or more, but .* use e\.g\. --latent 20"):
        StandardNormalPrior(dim)
