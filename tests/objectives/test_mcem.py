"""Monte Carlo EM: chains reach the posterior and stay there, and a fit ends at the maximum of the evidence."""

from __future__ import annotations

import math

import pytest
import torch

from linear_gaussian import LinearGaussian, linear_model, near_the_posterior, random_linear_gaussian
from nelbo.core import Batch
from nelbo.errors import CompositionError, ConfigError
from nelbo.objectives import MCEM
from nelbo.samplers.hamiltonian import Target, transition
from nelbo.settings import resolve
from nelbo.solvers import fit_ppca
from nelbo.train.job import prepare
from zoo import SMALL, rows_of


def moved(case: LinearGaussian, objective: MCEM, start: torch.Tensor, copies: int) -> torch.Tensor:
    batch = Batch(case.x.repeat(copies, 1))
    return objective._moved(batch, start)[0].view(copies, len(case.x), -1)


def test_chains_that_start_in_the_posterior_stay_there_and_others_reach_it() -> None:
    case = random_linear_gaussian(0, latent=2, rows=3)
    posterior, copies = case.posterior(), 8_000
    objective = MCEM(case.model, transitions=1, leapfrog=4)
    torch.manual_seed(0)
    inside = posterior.sample((copies,)).reshape(1, -1, 2)
    objective.log_step.fill_(-0.5)
    stayed = moved(case, objective, inside, copies)
    assert not stayed.equal(inside[0].view_as(stayed))
    far = MCEM(case.model, transitions=60, leapfrog=4)
    far.log_step.fill_(-0.5)
    came = moved(case, far, torch.zeros(1, copies * 3, 2, dtype=torch.float64), copies)
    spread = posterior.variance.sqrt()
    for z in (stayed, came):
        assert bool(((z.mean(0) - posterior.mean).abs() < 4 * spread / math.sqrt(copies)).all())
        assert torch.allclose(z.var(0) / posterior.variance, torch.ones(3, 2, dtype=torch.float64), atol=0.08)


def test_step_sizes_find_the_share_of_accepted_proposals() -> None:
    case = near_the_posterior(1, rows=400)
    objective = MCEM(case.model, transitions=300, leapfrog=5, acceptance=0.9)
    torch.manual_seed(0)
    objective._moved(Batch(case.x), case.posterior().sample().unsqueeze(0))
    spread = case.model.encode(Batch(case.x)).variance.detach()
    target = Target(lambda z: 0.0 * z.sum(-1), lambda z: case.model.log_joint(Batch(case.x), z), spread)
    point, generator = target.at(case.posterior().sample((50,))), torch.Generator().manual_seed(0)
    step = objective.log_step.exp().expand(400)
    taken = transition(target, point, 1.0, step, 5, generator, shared=False)[1]
    assert float(taken.mean()) == pytest.approx(0.9, abs=0.03)


def test_a_fit_ends_at_probabilistic_pca() -> None:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(200, 1, generator=generator, dtype=torch.float64)
    x = z @ torch.tensor([[2.0, -1.0, 0.5]], dtype=torch.float64) + 0.5
    x = x + 0.4 * torch.randn(200, 3, generator=generator, dtype=torch.float64)
    torch.manual_seed(0)
    model = linear_model(3, 1)
    objective = MCEM(model, leapfrog=5).train()
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    for step in range(400):
        optimiser.param_groups[0]["lr"] = 0.02 * (1 - step / 400)
        optimiser.zero_grad()
        objective(Batch(x)).loss.backward()
        optimiser.step()
    case = LinearGaussian(model, x)
    best = float(fit_ppca(x, 1).log_likelihood(x).mean())
    assert float(case.evidence().mean()) == pytest.approx(best, abs=0.03)
    # The recognition model has come along.
    assert float(case.gap().mean()) < 0.15


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"transitions": 0}, "1 transition of 1 leapfrog step"),
        ({"leapfrog": 0}, "1 transition of 1 leapfrog step"),
        ({"acceptance": 1.0}, "between 0 and 1"),
    ],
)
def test_settings_out_of_range_are_refused(arguments: dict[str, float], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        MCEM(random_linear_gaussian(0).model, **arguments)


def test_latents_that_no_chain_can_move_are_refused() -> None:
    settings = {"prior": "stick-breaking", "posterior": "kumaraswamy", "objective": "mcem"}
    job = prepare(resolve(SMALL, settings), rows_of("real"))
    with pytest.raises(CompositionError, match="use --objective wake-sleep"):
        job.build()
