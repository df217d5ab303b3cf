"""The latent-variable model against its definition."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nelbo.core import Batch, Draw, Group, Prior, Space
from nelbo.errors import CompositionError
from nelbo.likelihoods import BernoulliLikelihood, GaussianLikelihood
from nelbo.models import LatentVariableModel
from nelbo.networks import MLP
from nelbo.posteriors import CauchyPosterior, GaussianPosterior, RelaxedCategoricalPosterior
from nelbo.priors import CategoricalPrior, CauchyPrior, LaplacePrior, StandardNormalPrior


def model(context: int = 0) -> LatentVariableModel:
    torch.manual_seed(0)
    return LatentVariableModel(
        StandardNormalPrior(2),
        GaussianPosterior(MLP(6, 4, hidden=(5,), context=context)),
        BernoulliLikelihood(MLP(2, 6, hidden=(5,), context=context), (6,)),
    ).double()


def batch(rows: int = 4, context: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(1)
    x = torch.randint(0, 2, (rows, 6), generator=generator).double()
    return Batch(x, context=torch.randn(rows, context, generator=generator).double() if context else None)


def test_log_joint_is_log_likelihood_plus_log_prior() -> None:
    whole, data = model(), batch()
    z = torch.randn(3, 4, 2).double()
    expected = torch.zeros(3, 4).double()
    for k in range(3):
        logits = whole.get_submodule("likelihood.network")(z[k])
        log_px = torch.distributions.Bernoulli(logits=logits).log_prob(data.x).sum(-1)
        expected[k] = log_px + torch.distributions.Normal(0, 1).log_prob(z[k]).sum(-1)
    torch.testing.assert_close(whole.log_joint(data, z), expected)


def test_terms_are_those_of_their_own_draws() -> None:
    whole, data = model(), batch()
    terms = whole.terms(data, samples=3)
    assert terms.log_qz is not None
    torch.testing.assert_close(terms.log_weights, whole.log_joint(data, terms.z) - whole.encode(data).log_prob(terms.z))


def test_closed_form_and_densities_are_never_both_computed() -> None:
    analytic, sampled = model().terms(batch(), analytic=True), model().terms(batch(), analytic=False)
    assert (analytic.log_pz, analytic.log_qz, sampled.kl) == (None, None, None)
    assert analytic.kl is not None
    with pytest.raises(ValueError, match="analytic=False"):
        _ = analytic.log_weights


def test_the_posterior_reads_x_in_and_the_likelihood_x() -> None:
    whole, data = model(), batch()
    corrupted = Batch(data.x, x_in=torch.zeros_like(data.x))
    q = whole.encode(corrupted)
    torch.testing.assert_close(q.mean, whole.encode(Batch(torch.zeros_like(data.x))).mean)
    z = torch.randn(1, 4, 2).double()
    torch.testing.assert_close(whole.log_joint(corrupted, z), whole.log_joint(data, z))


@pytest.mark.parametrize("draw", list(Draw))
def test_the_kind_of_draw_decides_where_gradients_flow(draw: Draw) -> None:
    terms = model().terms(batch(), samples=2, draw=draw)
    assert terms.log_qz is not None
    assert terms.z.requires_grad is (draw is not Draw.SCORE)


def test_context_reaches_posterior_and_likelihood_draw_by_draw() -> None:
    whole, data = model(context=3), batch(context=3)
    assert data.context is not None
    z = torch.randn(5, 4, 2).double()
    together = whole.log_joint(data, z)
    alone = torch.stack([whole.log_joint(data, z[k : k + 1])[0] for k in range(5)])
    torch.testing.assert_close(together, alone)
    assert not torch.equal(whole.encode(data).mean, whole.encode(Batch(data.x, context=data.context + 1)).mean)


def test_sampling_gives_n_draws_a_context_row() -> None:
    assert model().sample(7).mean.shape == (7, 6)
    whole, context = model(context=3), batch(context=3).context
    assert context is not None
    assert whole.sample(7, context).mean.shape == (28, 6)


def test_sampled_contexts_go_round_for_each_draw() -> None:
    whole, context = model(context=3), batch(context=3).context
    assert context is not None
    seen: list[Tensor] = []
    whole.get_submodule("likelihood.network").register_forward_hook(lambda m, args, out: seen.append(args[1]))
    whole.sample(2, context)
    torch.testing.assert_close(seen[0], torch.cat([context, context]))


def test_the_point_of_a_row_is_its_posterior_mean() -> None:
    whole, data = model(), batch()
    torch.testing.assert_close(whole.point(data), whole.encode(data).mean)


def test_groups_name_the_slices_of_z() -> None:
    assert model().groups == {"z": Group(slice(0, 2), Space.REAL)}
    assert model().latent == 2


def test_prior_and_posterior_of_unlike_size_are_refused() -> None:
    with pytest.raises(CompositionError, match="the prior has 3 latent dimensions but the posterior 2"):
        LatentVariableModel(StandardNormalPrior(3), GaussianPosterior(MLP(6, 4)), GaussianLikelihood(MLP(2, 6), (6,)))


def test_categories_grouped_otherwise_are_refused() -> None:
    posterior = RelaxedCategoricalPosterior(MLP(5, 6), 6, groups=3)
    with pytest.raises(CompositionError, match=r"'categorical' has 2 groups .* but .*'relaxed-categorical' 3; give"):
        LatentVariableModel(CategoricalPrior(6, groups=2), posterior, GaussianLikelihood(MLP(6, 5), (5,)))


@pytest.mark.parametrize("prior", [StandardNormalPrior(3), LaplacePrior(3)])
def test_a_posterior_without_a_variance_is_refused_where_the_bound_may_need_one(prior: Prior) -> None:
    posterior = CauchyPosterior(MLP(6, 6), 3)
    with pytest.raises(CompositionError, match=r"'cauchy' has no variance.* give --prior cauchy, or a posterior"):
        LatentVariableModel(prior, posterior, GaussianLikelihood(MLP(3, 6), (6,)))
    LatentVariableModel(CauchyPrior(3), posterior, GaussianLikelihood(MLP(3, 6), (6,)))
