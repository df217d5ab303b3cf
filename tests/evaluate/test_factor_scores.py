"""Scores of codes that are known to be perfect, ignorant, mixed or doubled, and of any against the plain definition."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.stats import linregress
from sklearn.metrics import mutual_info_score

from nelbo.evaluate.factor_scores import (
    completeness,
    disentanglement,
    entropies,
    factor_vae_score,
    importances,
    lead,
    mutual_information,
    predictability,
)

SIZES = (4, 5, 3)
TIMES = 12
FACTORS = np.tile(np.indices(SIZES).reshape(3, -1).T, (TIMES, 1))  # [720, 3], every combination twelve times
NUMBERS = (True, True, True)


def scores(z: np.ndarray, v: np.ndarray = FACTORS, ordered: tuple[bool, ...] = NUMBERS) -> dict[str, float]:
    """All scores, fitted on every other row and told of the rest."""
    order = np.random.default_rng(1).permutation(len(z))
    fitted, scored = order[::2], order[1::2]
    importance, told = importances(z[fitted], v[fitted], z[scored], v[scored], ordered)
    votes = factor_vae_score(z[fitted], v[fitted], z[scored], v[scored], np.random.default_rng(0))
    return {
        "mig": float((lead(mutual_information(z, v)) / entropies(v)).mean()),
        "d": disentanglement(importance),
        "c": completeness(importance),
        "i": float(told.mean()),
        "sap": float(lead(predictability(z, v, ordered)).mean()),
        "factor_vae": votes,
    }


def noise(columns: int) -> np.ndarray:
    return np.random.default_rng(2).normal(size=(len(FACTORS), columns))


def test_the_factors_themselves_permuted_and_rescaled_have_every_score_1() -> None:
    z = FACTORS[:, [2, 0, 1]] * [-3.0, 0.01, 40.0] + [5.0, 0.0, -1.0]
    assert scores(z) == pytest.approx(dict.fromkeys(["mig", "d", "c", "i", "sap", "factor_vae"], 1.0), abs=1e-12)


def test_without_an_order_sap_starts_from_the_accuracy_of_a_guess_and_all_else_is_1() -> None:
    found = scores(FACTORS * 1.0, ordered=(False, False, False))
    assert found["sap"] == pytest.approx(np.mean([1 - 1 / size for size in SIZES]), abs=1e-12)
    assert all(value == pytest.approx(1.0) for name, value in found.items() if name != "sap")


def test_latents_that_know_nothing_score_next_to_nothing() -> None:
    found = scores(noise(4))
    assert max(found["mig"], found["sap"], found["i"]) < 0.03
    assert max(found["d"], found["c"]) < 0.06
    assert found["factor_vae"] == pytest.approx(1 / len(SIZES), abs=0.12)


def test_two_factors_mixed_at_45_degrees_are_told_but_not_taken_apart() -> None:
    v = np.tile(np.indices((6, 6)).reshape(2, -1).T, (30, 1))
    z = np.stack([v[:, 0] + v[:, 1], v[:, 0] - v[:, 1]], axis=1) / math.sqrt(2)
    apart, mixed = scores(v * 1.0, v, (True, True)), scores(z, v, (True, True))
    assert mixed["i"] > 0.99
    assert max(mixed["mig"], mixed["sap"]) < 1e-9
    assert max(mixed["d"], mixed["c"]) < 0.1
    assert min(apart.values()) > 0.999


def test_doubled_latents_leave_disentanglement_and_cost_completeness_and_the_gaps() -> None:
    found = scores(np.concatenate([FACTORS, FACTORS], axis=1) * 1.0)
    assert found["d"] == pytest.approx(1.0)
    assert found["c"] == pytest.approx(1 - math.log(2) / math.log(6), abs=0.12)  # half on each of two of six
    assert found["mig"] == pytest.approx(0.0, abs=1e-12)
    assert found["sap"] == pytest.approx(0.0, abs=1e-12)
    assert found["factor_vae"] == 1.0


def test_one_latent_of_two_factors_costs_disentanglement_and_leaves_completeness() -> None:
    both = FACTORS[:, 0] + 4 * FACTORS[:, 1]
    found = scores(np.stack([both, FACTORS[:, 2]], axis=1) * 1.0)
    assert found["c"] == pytest.approx(1.0, abs=0.02)
    share = 2 / 3  # of all importance, that of the latent of two factors
    assert found["d"] == pytest.approx(1 - share * math.log(2) / math.log(3), abs=0.02)


def test_mutual_information_is_that_of_scikit_learn_for_the_histograms_of_numpy() -> None:
    z = noise(3) + FACTORS * [0.3, 1.0, 0.0]
    found = mutual_information(z, FACTORS, bins=7)
    for latent, factor in itertools.product(range(3), range(3)):
        edges = np.histogram_bin_edges(z[:, latent], 7)
        binned = np.clip(np.searchsorted(edges, z[:, latent], side="right"), 1, 7)
        assert found[latent, factor] == pytest.approx(mutual_info_score(binned, FACTORS[:, factor]), abs=1e-10)
    assert entropies(FACTORS) == pytest.approx(np.log(SIZES))


def test_a_latent_that_never_varies_tells_nothing() -> None:
    z = np.concatenate([FACTORS * 1.0, np.full((len(FACTORS), 1), 0.1)], axis=1)
    assert mutual_information(z, FACTORS)[3] == pytest.approx([0, 0, 0], abs=1e-12)
    assert np.array_equal(predictability(z, FACTORS, (True, False, False))[3], [0, 0, 0])
    assert scores(z) == pytest.approx(scores(FACTORS * 1.0))
    assert factor_vae_score(z[:, 3:], FACTORS, z[:, 3:], FACTORS, np.random.default_rng(0)) == 0.0


def test_an_ordered_factor_is_told_by_the_squared_correlation_of_scipy() -> None:
    z = noise(2) + FACTORS[:, :2] * [0.5, -2.0]
    found = predictability(z, FACTORS, NUMBERS)
    for latent, factor in itertools.product(range(2), range(3)):
        expected = linregress(z[:, latent], FACTORS[:, factor]).rvalue ** 2
        assert found[latent, factor] == pytest.approx(expected, abs=1e-12)


def brute_force(z: np.ndarray, v: np.ndarray) -> float:
    """The best balanced accuracy over all places of the thresholds and all values between them."""
    values, cuts = np.unique(v), [-math.inf, *np.unique(z)]
    best = 0.0
    for thresholds in itertools.combinations_with_replacement(cuts, len(values) - 1):
        interval = sum((z > cut).astype(int) for cut in thresholds)
        for named in itertools.product(values, repeat=len(values)):
            told = np.array(named)[interval]
            best = max(best, float(np.mean([(told == v)[v == value].mean() for value in values])))
    return best


@pytest.mark.parametrize("values", [2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_thresholds_are_the_best_of_all(values: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    unequal = np.arange(1, values + 1) / np.arange(1, values + 1).sum()
    v = np.concatenate([np.arange(values), random.choice(values, 8, p=unequal)])
    z = np.round(v * random.normal() + random.normal(size=len(v)), 0)  # with ties
    found = predictability(z[:, None], v[:, None], (False,))[0, 0]
    assert found == pytest.approx(brute_force(z, v), abs=1e-12)


def test_dci_is_the_entropies_of_the_paper() -> None:
    importance = np.random.default_rng(0).dirichlet(np.ones(4), 3).T  # [4, 3]
    importance[2] = 0.0
    by_latent = []
    for row in importance:
        total = sum(row)
        h = -sum(r / total * math.log(r / total, 3) for r in row if r > 0) if total else 1.0
        by_latent.append((total, 1 - h))
    expected = sum(total * score for total, score in by_latent) / importance.sum()
    assert disentanglement(importance) == pytest.approx(expected, abs=1e-12)
    shares = importance / importance.sum(0)
    by_factor = [1 + sum(p * math.log(p, 4) for p in column if p > 0) for column in shares.T]
    assert completeness(importance) == pytest.approx(np.mean(by_factor), abs=1e-12)
    assert disentanglement(np.ones((4, 3))) == pytest.approx(0.0, abs=1e-12)
    assert completeness(np.ones((4, 3))) == pytest.approx(0.0, abs=1e-12)
    assert completeness(np.ones((1, 3))) == 1.0
    assert disentanglement(np.zeros((2, 2))) == completeness(np.zeros((2, 2))) == 0.0


def plain_factor_vae_score(z: np.ndarray, v: np.ndarray, votes: int, random: np.random.Generator) -> float:
    """One vote after the other, as the paper tells it."""
    counted = [np.zeros((z.shape[1], v.shape[1])) for _ in range(2)]
    for count in counted:
        for vote in range(votes):
            factor = vote % v.shape[1]
            alike = np.flatnonzero(v[:, factor] == random.choice(np.unique(v[:, factor])))
            batch = z[random.choice(alike, 64)] / z.std(0)
            count[np.argmin(batch.var(0)), factor] += 1
    named = counted[0].argmax(1)
    return float(sum(counted[1][latent, factor] for latent, factor in enumerate(named)) / counted[1].sum())


def test_votes_are_those_of_a_plain_loop() -> None:
    z = 0.8 * noise(4)
    z[:, :2] += FACTORS[:, :2] * [0.4, 0.3]
    z[:, 2] += 0.2 * (FACTORS[:, 0] + FACTORS[:, 2])
    expected = plain_factor_vae_score(z, FACTORS, 3_000, np.random.default_rng(5))
    found = factor_vae_score(z, FACTORS, z, FACTORS, np.random.default_rng(6))
    assert 0.45 < expected < 0.95
    assert found == pytest.approx(expected, abs=4 * math.sqrt(2 * 0.25 / 3_000))


def test_a_value_that_one_row_has_casts_no_vote() -> None:
    v = np.concatenate([FACTORS, [[4, 0, 0]]])
    z = np.concatenate([FACTORS * 1.0, [[4.0, 0.0, 0.0]]])
    assert factor_vae_score(z, v, z, v, np.random.default_rng(0)) == 1.0


def test_scores_do_not_depend_on_units_or_on_the_order_of_latents() -> None:
    z = noise(3) + FACTORS * [0.5, 1.0, 0.2]
    other = z[:, [1, 2, 0]] * [2.0, 0.25, 4.0]  # powers of two: no rounding
    one, two = scores(z), scores(other)
    for name in ("mig", "sap", "i", "factor_vae"):
        assert one[name] == pytest.approx(two[name], abs=0.02), name
    assert one["d"] == pytest.approx(two["d"], abs=0.05)
