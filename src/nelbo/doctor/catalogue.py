"""All that can be found, by key, in the order in which causes come before their effects: data, objective, training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

__all__ = ["ENTRIES", "RANKS", "Entry"]


@final
@dataclass(frozen=True)
class Entry:
    """A kind of finding: what it is about, its title, why it matters, and which other findings it would explain."""

    topic: str
    title: str
    reason: str  # two sentences at most, for somebody who trains a model for the first time
    explains: frozenset[str] = frozenset()


_MISFITS = frozenset({"likelihood-misfit", "worse-than-baseline"})
_FAILURES = _MISFITS | {
    "diverged", "unfinished", "under-trained", "overfitting", "posterior-collapse", "dead-latents", "duplicate-latents",
    "amortisation-gap", "variance-at-floor",
}  # fmt: skip

ENTRIES: dict[str, Entry] = {
    # The data.
    "missing-values": Entry(
        "data",
        "Missing values",
        "A network turns one missing value into a loss that is not a number. Such rows or columns have to be filled or "
        "left out before training.",
        _FAILURES,
    ),
    "wrong-likelihood": Entry(
        "data",
        "A likelihood for another kind of data",
        "The likelihood says which values are possible. One for real numbers wastes probability between whole numbers "
        "or grows without limit on them, so its figures mean little.",
        _FAILURES,
    ),
    "constant-column": Entry(
        "data",
        "Columns that never change",
        "A value that is always the same can be predicted exactly, which a density rewards without limit. The figures "
        "then hang on rounding rather than on what was learnt.",
        _FAILURES,
    ),
    "heavy-tails": Entry(
        "data",
        "Extreme values",
        "A Gaussian charges the square of the distance, so a few extreme values outweigh all other rows. They pull the "
        "model and make training jump.",
        _FAILURES,
    ),
    "unscaled-columns": Entry(
        "data",
        "Values on unlike scales",
        "The networks see the values as they are, and large ones drown small ones. Scaling changes what a network "
        "sees, never the units of the figures.",
        _FAILURES,
    ),
    "duplicated-rows": Entry(
        "data",
        "Rows that repeat each other",
        "Copies count as new data though they bring nothing new, and land on both sides of a random split. The model "
        "then seems better on test rows than it is.",
        frozenset({"leakage", "overfitting"}),
    ),
    "leakage": Entry(
        "data",
        "Test rows that were trained on",
        "Rows held out to measure on should be new to the model. Where it has seen them, or nearly the same rows, "
        "figures flatter.",
    ),
    "in-sample": Entry(
        "data",
        "No rows were held out",
        "Figures on rows that were trained on say how well these are fitted, not how well new data would be.",
    ),
    "data-note": Entry("data", "A note on the data", "It says what the figures are figures of."),
    # The objective.
    "kl-sign": Entry(
        "objective",
        "The KL has the wrong sign",
        "A KL divergence is never negative, and the loss has to add it. With the other sign training drives the codes "
        "away from the prior without limit.",
        _FAILURES,
    ),
    "likelihood-averaged": Entry(
        "objective",
        "The likelihood is averaged, the KL is summed",
        "Both terms have to be summed over dimensions. An average makes the KL weigh as much as a beta of the number "
        "of dimensions, and the latents fall silent.",
        _FAILURES,
    ),
    "terms-off": Entry(
        "objective",
        "The loss is not made of the model's own terms",
        "What was reported while training differs from what the model gives on the same rows. One of the terms of the "
        "loss was weighted or computed otherwise than the settings say.",
        _FAILURES,
    ),
    "frozen-encoder": Entry(
        "objective",
        "The encoder did not learn",
        "Its weights are those it started with, so that its codes are arbitrary. No gradient reached it, or nothing "
        "updated it.",
        _FAILURES,
    ),
    "frozen-decoder": Entry(
        "objective",
        "The decoder did not learn",
        "Its weights are those it started with, so that it cannot have learnt what the data look like. No gradient "
        "reached it, or nothing updated it.",
        _FAILURES,
    ),
    "detached-encoder": Entry(
        "objective",
        "The encoder does not hear from the decoder",
        "Codes get better only where the gradient of the likelihood reaches the encoder through z. Cut off from it, "
        "the encoder follows the KL alone and all codes become alike.",
        _FAILURES,
    ),
    "beta-high": Entry(
        "objective",
        "The KL outweighs the likelihood",
        "A beta as large as the number of dimensions is as if the likelihood were averaged over them. A code then "
        "costs more than it can win, and the latents fall silent.",
        _FAILURES,
    ),
    "variance-too-large": Entry(
        "objective",
        "The decoder's fixed noise hides the data",
        "A latent pays only where it explains more variance than the noise that the decoder adds anyway. Directions of "
        "the data below that stay silent, however long the training.",
        _FAILURES,
    ),
    "kl-not-annealed": Entry(
        "objective",
        "The warm-up did not reach its end",
        "A warm-up lets the weight of the KL rise to its final value. A model that ends before was trained for another "
        "objective than the one that is measured.",
        _FAILURES,
    ),
    # The training.
    "learning-rate-high": Entry(
        "training",
        "The learning rate is too high",
        "Steps are so large that they jump over what they look for. The loss leaps or grows, and latents die.",
        _FAILURES,
    ),
    "learning-rate-low": Entry(
        "training",
        "The learning rate is too low",
        "Steps are so small that the run ends long before the model is done.",
        _FAILURES,
    ),
    "vanishing-gradients": Entry(
        "training",
        "The gradient fades on its way through the network",
        "The first layers are told almost nothing of what the loss needs, so they hardly learn. Fewer layers, or "
        "shortcuts around them, let the gradient through.",
        _FAILURES,
    ),
    "exploding-gradients": Entry(
        "training",
        "The gradient explodes",
        "A few steps of that size undo what all others learnt. Limiting the gradient or the learning rate keeps them "
        "in bounds.",
        _FAILURES,
    ),
    "log-variance-overflow": Entry(
        "training",
        "Variances without bounds",
        "A network emits the logarithm of a variance, and its exponential soon exceeds every number. The loss then is "
        "infinite or not a number.",
        _FAILURES,
    ),
    "variance-at-floor": Entry(
        "floor",
        "Variances at their floor",
        "A log-variance may not fall below --min-log-variance. Where many would, the floor and not the data decides "
        "the figures.",
        _MISFITS,
    ),
    "too-few-steps": Entry(
        "training",
        "Very few steps",
        "Each step changes the weights a little, and a model needs hundreds of them at least.",
        _MISFITS | {"under-trained", "posterior-collapse"},
    ),
    "batch-too-large": Entry(
        "training",
        "A batch larger than the data",
        "Every step then sees all rows, so an epoch is one step. Smaller batches give more steps for the same work.",
        frozenset({"too-few-steps", "under-trained"}),
    ),
    "latent-too-large": Entry(
        "latents",
        "More latents than the data can fill",
        "Data that vary in few directions leave the other latents idle. These cost time, nothing else.",
    ),
    "cut-short": Entry(
        "training",
        "Cut short",
        "The run ended before its plan did, and most models gain until the end.",
        _MISFITS | {"under-trained", "kl-not-annealed"},
    ),
    "unfinished": Entry(
        "training",
        "Training has not ended",
        "There are no final weights to look at yet.",
    ),
    "under-trained": Entry(
        "training",
        "Not trained to the end",
        "The objective still rose when training ended, so the figures are lower than this model can reach.",
        _MISFITS | {"amortisation-gap"},
    ),
    # Symptoms.
    "diverged": Entry(
        "training",
        "Training diverged",
        "The loss turned into something that is not a number, from which no step leads back.",
    ),
    "overfitting": Entry(
        "overfitting",
        "Overfitting",
        "The model learnt its training rows by heart instead of what they have in common. Rows it has not seen get "
        "worse figures.",
        _MISFITS | {"amortisation-gap"},
    ),
    "posterior-collapse": Entry(
        "latents",
        "Posterior collapse",
        "The code of every row looks like a draw from the prior, so that the decoder ignores it. The model then "
        "knows only what all rows have in common.",
        _MISFITS | {"dead-latents"},
    ),
    "duplicate-latents": Entry(
        "latents",
        "Latents that say the same",
        "Two latents that go up and down together pay twice for one piece of information.",
    ),
    "dead-latents": Entry(
        "latents",
        "Idle latents",
        "A latent that says nothing about the data costs nothing either, but many of them mean that the model could "
        "be smaller, or that the KL is weighted too much.",
    ),
    "latents-in-full-use": Entry(
        "latents",
        "Every latent is in use",
        "Where none is idle, their number may be what limits the model.",
    ),
    "likelihood-misfit": Entry(
        "likelihood-fit",
        "Data made by the model differ from the data",
        "Values drawn from the decoder at the codes of real rows should be spread as the real values are. Where they "
        "are not, the likelihood is of the wrong shape or width.",
        frozenset({"worse-than-baseline"}),
    ),
    "amortisation-gap": Entry(
        "inference",
        "The encoder lags behind the decoder",
        "For each row there is a better code than the one its encoder gives. The bound, and all that uses codes, could "
        "be better with the same decoder.",
    ),
    "worse-than-baseline": Entry(
        "likelihood",
        "Against simple methods",
        "A model worth its training should explain new rows better than methods that need none.",
    ),
    "unsettled-estimate": Entry(
        "estimate",
        "The likelihood estimate has not settled",
        "Importance sampling approaches the likelihood from below as samples are added, and here more of them still "
        "matter.",
    ),
    "not-the-bound": Entry(
        "beta",
        "Trained for something else than the bound",
        "What a training lowers is what it gets. All figures are at beta = 1, whatever was trained for.",
    ),
}

RANKS = {key: rank for rank, key in enumerate(ENTRIES)}
