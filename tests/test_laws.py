"""What holds for every recipe on every kind of data."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from nelbo.core import Batch, Model
from nelbo.data import Kind
from nelbo.evaluate import importance_log_likelihood
from nelbo.objectives import ImportanceWeighted
from nelbo.recipes import RECIPES
from nelbo.registry import build, spec_of
from nelbo.runs import load_model, save_model
from nelbo.train import train
from zoo import CASES, Case, is_legal

EVERY = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def test_the_zoo_holds_every_recipe() -> None:
    assert {case.job.settings.recipe for case in CASES} == set(RECIPES)


@EVERY
@torch.no_grad()  # a draw is a draw, reparameterised or not
def test_shapes_are_those_of_the_vocabulary(case: Case) -> None:
    model, batch = case.objective().model, case.batch
    rows, latent, draws = len(batch), model.latent, 3
    q = model.encode(batch)
    assert (q.batch_shape, q.event_shape) == ((rows,), (latent,))
    assert model.point(batch).shape == (rows, latent)
    terms = model.terms(batch, samples=draws)
    if model.abilities.weighs_draws:  # each draw once for every value of what is enumerated
        assert terms.log_r is not None
        torch.testing.assert_close(terms.log_r.exp().sum(0), torch.ones(rows))
        draws = len(terms.z)
    assert terms.z.shape == (draws, rows, latent)
    assert terms.log_px.shape == terms.log_weights.shape == (draws, rows)
    analytic = model.terms(batch, samples=3, analytic=True)
    assert (analytic.kl is None) == (analytic.log_pz is not None) == (analytic.log_qz is not None)
    if analytic.kl is not None:
        assert analytic.kl.shape[1:] in {(1, rows), (draws, rows)}
        assert latent % len(analytic.kl) == 0  # dimensions, groups of them, or all at once
    assert model.decode(terms.z[0], batch.context).batch_shape == batch.x.shape
    assert model.log_joint(batch, terms.z).shape == (draws, rows)
    assert model.sample(5, one(batch.context)).sample().shape == (5, *case.job.spec.event_shape)


@EVERY
def test_loss_is_a_finite_scalar_and_the_sum_of_its_parts_means(case: Case) -> None:
    losses = [phase(case.batch) for phase in case.objective().phases]
    for loss in losses:
        assert loss.loss.shape == ()
        assert bool(torch.isfinite(loss.loss))
        torch.testing.assert_close(loss.loss, torch.stack([part.mean() for part in loss.parts.values()]).sum())
        assert not any(figure.requires_grad for figure in loss.figures.values())
    bound = losses[0].bound
    assert bound is not None
    assert bound.shape == (len(case.batch),)
    assert not bound.requires_grad


@EVERY
def test_gradients_of_a_phase_reach_every_parameter_it_owns_and_no_other(case: Case) -> None:
    objective = case.objective().train()
    owned = [id(p) for phase in objective.phases for p in phase.parameters()]
    assert sorted(owned) == sorted(id(p) for p in objective.parameters())  # each has one owner
    for phase in objective.phases:
        objective.zero_grad()
        phase(case.batch).loss.backward()
        own = {id(p) for p in phase.parameters()}
        moved = {name: p for name, p in objective.named_parameters() if p.grad is not None}
        assert {id(p) for p in moved.values()} == own
        assert [name for name, p in moved.items() if not bool(torch.isfinite(p.grad).all())] == []
        # A single rectified unit may be off for all rows; a whole layer may not.
        assert [name for name, p in moved.items() if not bool(p.grad.any())] == []


@EVERY
def test_a_loaded_model_gives_the_very_same_output(case: Case, tmp_path: Path) -> None:
    model, batch = case.objective().model, case.batch
    save_model(tmp_path, model)
    loaded = load_model(tmp_path)
    assert not loaded.training
    assert outputs(loaded, batch).equal(outputs(model, batch))


@pytest.mark.parametrize("case", [case for case in CASES if "conv" in case.name], ids=lambda case: case.name)
def test_running_statistics_are_saved_with_the_weights(case: Case, tmp_path: Path) -> None:
    objective = case.objective().train()
    with torch.no_grad():
        objective.phases[0](case.batch)  # moves the statistics of the batch norms
    model = objective.eval().model
    save_model(tmp_path, model)
    assert outputs(load_model(tmp_path), case.batch).equal(outputs(model, case.batch))


def of_equal_weight(model: Model, batch: Batch, samples: int, weighted: bool = False) -> Tensor:
    """log w of independent draws, [samples, B] in float64; over what is enumerated a mean, of log w or of w."""
    terms = model.terms(batch, samples=samples)
    log_w = terms.log_weights.double()
    if terms.log_r is None:
        return log_w
    log_r = (terms.log_r.double() + math.log(samples)).view(samples, -1, len(batch))
    log_w = log_w.view_as(log_r)
    return (log_w + log_r).logsumexp(1) if weighted else (log_r.exp() * log_w).sum(1)


def one(context: Tensor | None) -> Tensor | None:
    """The first of some contexts."""
    return None if context is None else context[:1]


def outputs(model: Model, batch: Batch) -> Tensor:
    """Densities of data and latents at draws of a fixed seed."""
    torch.manual_seed(0)
    with torch.no_grad():
        return model.terms(batch, samples=2).log_weights


@EVERY
def test_the_spec_of_what_a_spec_builds_is_that_spec(case: Case) -> None:
    spec = case.job.objective_spec
    assert spec_of(build(spec)) == spec


@EVERY
def test_the_bound_is_below_the_importance_weighted_value(case: Case) -> None:
    model, batch = case.objective().model, case.batch
    torch.manual_seed(0)
    with torch.no_grad():
        draws = of_equal_weight(model, batch, 200)
    estimate = importance_log_likelihood(model, [batch], samples=500)
    difference = estimate.log_likelihood - draws.mean(0)
    error = draws.std(0) / math.sqrt(len(draws))
    assert bool((difference > -4.5 * error - 1e-4).all())


@EVERY
def test_the_importance_weighted_bound_does_not_fall_with_more_samples(case: Case) -> None:
    model, bound = case.objective().model, ImportanceWeighted()
    torch.manual_seed(1)
    with torch.no_grad():
        log_w = of_equal_weight(model, case.batch, 64, weighted=True)
    values = torch.stack([torch.stack([bound(g) for g in log_w.split(k)]).mean(0) for k in (1, 2, 4, 8, 16, 32, 64)])
    assert float(values.diff(dim=0).min()) > -1e-9


@EVERY
def test_samples_and_modes_are_values_the_data_can_take(case: Case) -> None:
    model, raw, spec = case.objective().model, case.job.data.spec, case.job.spec
    torch.manual_seed(0)
    with torch.no_grad():
        px = model.sample(20, one(case.batch.context))
        drawn, mode = px.sample(), model.mode(px)
    assert drawn.shape == mode.shape == (20, *spec.event_shape)
    for x in (drawn, mode):
        assert is_legal(x, spec.kind, spec.levels, spec.columns)
    # Thresholding and the grid itself are the transforms that do not come back to the user's own values.
    if spec.transform.startswith(("binarize", "density")):
        return
    assert is_legal(case.job.transform.inverse(drawn), raw.kind, raw.levels)


@EVERY
def test_the_mean_lies_within_the_range_of_the_data(case: Case) -> None:
    model, spec = case.objective().model, case.job.spec
    torch.manual_seed(0)
    with torch.no_grad():
        mean = model.sample(20, one(case.batch.context)).mean
    assert mean.shape == (20, *spec.event_shape)
    assert bool(torch.isfinite(mean).all())
    if spec.kind in {Kind.BINARY, Kind.UNIT}:
        assert is_legal(mean, Kind.UNIT, None)


@EVERY
def test_rows_do_not_depend_on_their_neighbours_when_scored(case: Case) -> None:
    model, batch = case.objective().model, case.batch
    together = importance_log_likelihood(model, [batch], samples=20).log_likelihood
    alone = importance_log_likelihood(model, [batch[i : i + 1] for i in range(4)], samples=20).log_likelihood
    torch.testing.assert_close(together[:4], alone, rtol=1e-5, atol=1e-3)


ONE_EACH = [case for case in CASES if case.name in {"vae-binary", "conv-vae-levels", "linear-vae-real", "conv-datum"}]


@pytest.mark.parametrize("case", ONE_EACH, ids=lambda case: case.name)
def test_the_same_seed_gives_the_same_weights(case: Case) -> None:
    torch.manual_seed(1)
    first = train(case.job)[0].state_dict()
    torch.manual_seed(2)  # torch's global state must not matter
    second = train(case.job)[0].state_dict()
    assert all(first[name].equal(second[name]) for name in first)


@pytest.mark.parametrize("case", ONE_EACH, ids=lambda case: case.name)
def test_initial_weights_are_a_function_of_the_seed(case: Case) -> None:
    torch.manual_seed(1)
    first = case.objective(seed=0).state_dict()
    torch.manual_seed(2)
    again, other = case.objective(seed=0).state_dict(), case.objective(seed=1).state_dict()
    assert all(first[name].equal(again[name]) for name in first)
    weights = [name for name in first if name.endswith("weight") and first[name].dim() > 1]
    assert weights
    assert not any(first[name].equal(other[name]) for name in weights)
