"""How well latents stand for known factors of variation: MIG, DCI, SAP and the FactorVAE score.

Latents z are [N, D]; factors v are codes 0, 1, ... [N, F]. Scores lie between 0 and 1, higher is better; none says that
a model is a good one of the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
from scipy.stats import entropy
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

__all__ = [
    "completeness",
    "disentanglement",
    "entropies",
    "factor_vae_score",
    "importances",
    "lead",
    "mutual_information",
    "predictability",
]

Reals = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

BINS = 20  # of the histograms of latents, as the field has it
VOTES = 1_000  # for each factor
ALIKE = 64  # rows with one value of a factor, in a vote
TREES, LEAF = 20, 5


def lead(scores: Reals) -> Reals:
    """By how much the best latent is ahead of the second best for each factor, [D, F] -> [F]; of one latent, all."""
    ranked = np.sort(np.concatenate([scores, np.zeros((1, scores.shape[1]))]), axis=0)
    return cast("Reals", ranked[-1] - ranked[-2])


def entropies(v: Integers) -> Reals:
    """H(v_k) of each factor in nats, [F]."""
    return np.array([entropy(np.bincount(column)) for column in v.T])


def mutual_information(z: Reals, v: Integers, bins: int = BINS) -> Reals:
    """I(z_j; v_k) in nats, [D, F], each latent cut into bins of equal width between its least and largest value.

    The mutual information gap is the mean over factors of `lead(I) / H(v_k)`. Chen et al. take I under q(z given x);
    histograms of posterior means are what most published figures take instead. Their bias, about (B - 1)(V - 1) / 2 N
    nats for B filled bins and V values, is the same for all latents that fill as many bins.

    References
    ----------
    Chen et al. (2018), Isolating sources of disentanglement in variational autoencoders, arXiv:1802.04942, eq. 6.
    Locatello et al. (2019), Challenging common assumptions in the unsupervised learning of disentangled
    representations, arXiv:1811.12359.
    """
    low, high = z.min(0), z.max(0)
    width = np.where(high > low, (high - low) / bins, 1.0)
    cut = np.minimum((z - low) / width, bins - 1).astype(np.int64)
    of_bins, of_values = entropies(cut), entropies(v)
    values = v.max(0) + 1
    both = [entropies(latent[:, None] * values + v) for latent in cut.T]
    return np.maximum(of_bins[:, None] + of_values - np.stack(both), 0.0)


def predictability(z: Reals, v: Integers, ordered: Sequence[bool]) -> Reals:
    """How well each latent alone tells each factor, [D, F]; the SAP score is the mean over factors of its `lead`.

    For an ordered factor, the share of the variance of its codes that a straight line explains. For
    others, the balanced accuracy of the best V - 1 thresholds, each interval between them standing for one of the V
    values, which is found exactly: a perfect latent has 1, an ignorant one 1 / V, a constant one counts 0.

    References
    ----------
    Kumar et al. (2018), Variational inference of disentangled latent concepts from unlabeled observations,
    arXiv:1711.00848, section 3.
    """
    varies = _varies(z)
    about, codes = np.where(varies, z - z.mean(0), 0.0), v - v.mean(0)
    scale = np.sqrt(np.outer((about**2).sum(0), (codes**2).sum(0)))
    squared = (about.T @ codes / np.maximum(scale, np.finfo(np.float64).tiny)) ** 2
    for factor, by_value in enumerate(ordered):
        if not by_value:
            for latent in np.flatnonzero(varies):
                squared[latent, factor] = _best_thresholds(z[:, latent], v[:, factor])
    return cast("Reals", squared)


def importances(
    z: Reals,
    v: Integers,
    test_z: Reals,
    test_v: Integers,
    ordered: Sequence[bool],
    *,
    seed: int = 0,
    workers: int = 1,
) -> tuple[Reals, Reals]:
    """Relative importance R of each latent for telling each factor, [D, F], and how well all of them tell it, [F].

    A random forest for each factor, every tree free to choose among all latents: of regression for an ordered factor,
    with the decrease of the squared error as importance and the explained share of the variance of test rows as what
    is told (0 at least); of classification for others, with the Gini impurity and the share of test rows told right.
    Of R, `disentanglement` and `completeness` are made; informativeness is the mean of what is told. (Figures with a
    classifier for every factor, also for ordered ones, come out lower: it spends splits on telling neighbours apart.)

    References
    ----------
    Eastwood and Williams (2018), A framework for the quantitative evaluation of disentangled representations, ICLR,
    section 2.
    Breiman (2001), Random forests, Machine Learning 45.
    """
    weights, told = [], []
    for factor, test, by_value in zip(v.T, test_v.T, ordered, strict=True):
        kind = RandomForestRegressor if by_value else RandomForestClassifier
        forest = kind(TREES, max_features=None, min_samples_leaf=LEAF, random_state=seed, n_jobs=workers)
        forest.fit(z, factor)
        weights.append(forest.feature_importances_)
        told.append(max(0.0, float(forest.score(test_z, test))))
    return np.stack(weights, axis=1), np.array(told)


def disentanglement(importance: Reals) -> float:
    """sum_j r_j (1 - H_F(R_j / sum_k R_jk)), the entropy to base F, r_j the share of latent j in all importance.

    1 where every latent that matters does so for one factor only.
    """
    share = importance.sum(1) / max(importance.sum(), np.finfo(np.float64).tiny)
    return float((share * _concentration(importance.T)).sum())


def completeness(importance: Reals) -> float:
    """Mean over factors of 1 - H_D(R_k / sum_j R_jk), the entropy to base D: 1 where one latent tells each factor."""
    return float(_concentration(importance).mean())


def factor_vae_score(
    z: Reals, v: Integers, test_z: Reals, test_v: Integers, random: np.random.Generator, votes: int = VOTES
) -> float:
    """Share of test votes that a majority of votes has named right.

    A vote: some rows that agree in a value of one factor; the latent whose variance among them is the smallest share
    of its variance over all rows. The factor most often behind a latent's votes is the one it is taken to stand for.
    Latents that do not vary at all have no vote.

    References
    ----------
    Kim and Mnih (2018), Disentangling by factorising, arXiv:1802.05983, section 4.
    """
    kept = _varies(z)
    if not kept.any():
        return 0.0
    spread = z[:, kept].std(0)
    votes_for = _votes(z[:, kept] / spread, v, random, votes)
    counted = _votes(test_z[:, kept] / spread, test_v, random, votes)
    return float(counted[np.arange(kept.sum()), votes_for.argmax(1)].sum() / counted.sum())


def _varies(z: Reals) -> npt.NDArray[np.bool_]:
    """Whether a latent takes more than one value, [D]; its standard deviation would be rounded."""
    return np.asarray(z.max(0) > z.min(0))


def _votes(z: Reals, v: Integers, random: np.random.Generator, votes: int) -> Integers:
    """How often each latent varies least among rows that agree in a factor, [D, F]."""
    found = []
    for factor in v.T:
        order = np.argsort(factor, kind="stable")
        _, first, size = np.unique(factor[order], return_index=True, return_counts=True)
        several = size > 1
        value = random.integers(several.sum(), size=votes)
        first, size = first[several][value, None], size[several][value, None]
        rows = order[first + (random.random((votes, ALIKE)) * size).astype(np.int64)]
        found.append(np.bincount(z[rows].var(1).argmin(1), minlength=z.shape[1]))
    return np.stack(found, axis=1)


def _concentration(weights: Reals) -> Reals:
    """1 minus the entropy of each column, to the base of its length; 0 for a column of zeros."""
    total = weights.sum(0)
    if len(weights) == 1:
        return np.ones_like(total)  # there is nothing else that it could be spread over
    shares = np.where(total > 0, weights / np.where(total > 0, total, 1.0), 1 / len(weights))
    return np.asarray(1 - entropy(shares, base=len(weights), axis=0))


def _best_thresholds(z: Reals, v: Integers) -> float:
    """Balanced accuracy of the best V - 1 thresholds on a latent for a factor of V values.

    Rows of value c weigh 1 / (V n_c). S_c(i) is the weight of value c among the i smallest z; the best partition with
    one more interval, of value c, has S_c(i) + max over starts j <= i of (best without it at j - S_c(j)).
    """
    _, codes, sizes = np.unique(v, return_inverse=True, return_counts=True)
    order = np.argsort(z, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(z[order])), len(z) - 1)  # a threshold cannot part equal latents
    weights = np.eye(len(sizes))[codes[order]] / (len(sizes) * sizes)
    share = np.concatenate([np.zeros((1, len(sizes))), weights.cumsum(0)[ends]])  # [cuts, V]
    best = share
    for _ in range(len(sizes) - 1):
        best = share + np.maximum.accumulate(best.max(1, keepdims=True) - share)
    return float(best[-1].max())
