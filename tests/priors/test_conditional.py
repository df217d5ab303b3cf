"""The conditional prior: a Gaussian of its own for every context, with its KL in closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch.autograd import gradcheck
from torch.distributions import Independent, Normal, kl_divergence

from nelbo.distributions.kl import rate
from nelbo.distributions.normal import DiagonalNormal
from nelbo.errors import CompositionError, ConfigError
from nelbo.priors import ConditionalPrior

CONTEXT = torch.eye(3, dtype=torch.float64)


def prior(**options: object) -> ConditionalPrior:
    torch.manual_seed(0)
    made = ConditionalPrior(2, context=3, hidden=(5,), **options).double()  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    return made


def moments(made: ConditionalPrior) -> tuple[np.ndarray, np.ndarray]:
    """Means and standard deviations [C, D], from the network's outputs by the formula."""
    out = made.network(CONTEXT).detach().numpy()
    return out[:, :2], np.sqrt(np.exp(out[:, 2:]) + np.exp(-14))


def test_each_context_has_scipys_gaussian() -> None:
    made, z = prior(), torch.randn(6, 3, 2, dtype=torch.float64)
    mean, sigma = moments(made)
    p = made(CONTEXT)
    assert (p.batch_shape, p.event_shape) == ((3,), (2,))
    expected = stats.norm(mean, sigma).logpdf(z.numpy()).sum(-1)
    np.testing.assert_allclose(p.log_prob(z).detach(), expected, rtol=1e-9)
    drawn = p.sample((4_000,)).numpy()
    for c in range(3):
        assert stats.kstest(drawn[:, c, 0], stats.norm(mean[c, 0], sigma[c, 0]).cdf).pvalue > 1e-4


def test_the_kl_is_that_of_torch_for_the_context_of_each_row() -> None:
    made = prior()
    loc, log_variance = torch.randn(2, 3, 2, dtype=torch.float64)
    found = rate(DiagonalNormal(loc, log_variance), made(CONTEXT))
    assert found is not None
    mean, sigma = map(torch.from_numpy, moments(made))
    q, p = Normal(loc, (0.5 * log_variance).exp()), Normal(mean, sigma)
    torch.testing.assert_close(
        found.detach().sum(0), kl_divergence(Independent(q, 1), Independent(p, 1)), rtol=1e-8, atol=0
    )


def test_gradients_are_finite_differences() -> None:
    made, z = prior(), torch.randn(3, 2, dtype=torch.float64)
    context = CONTEXT.clone().requires_grad_()
    assert gradcheck(lambda c: made(c).log_prob(z), (context,))


def test_extreme_contexts_stay_finite_in_single_precision() -> None:
    made = ConditionalPrior(2, context=1, hidden=()).float()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.fill_(-1e4)
    p = made(torch.ones(1, 1))
    value = p.log_prob(p.mean)
    gradients = torch.autograd.grad(value.sum(), list(made.parameters()))
    assert all(bool(torch.isfinite(t).all()) for t in (value, *gradients))


def test_without_a_context_it_is_refused_with_the_remedy() -> None:
    with pytest.raises(ConfigError, match="condition on the label with --condition label"):
        ConditionalPrior(2)
    with pytest.raises(CompositionError, match="needs a context"):
        prior()(None)
