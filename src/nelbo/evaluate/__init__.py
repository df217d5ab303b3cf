"""Evaluation: bounds, likelihoods, latents and the baselines beside them."""

from nelbo.evaluate.annealing import (
    Annealed,
    Annealing,
    Bidirectional,
    annealed_log_likelihood,
    bidirectional_log_likelihood,
)
from nelbo.evaluate.comparison import Comparison, compare
from nelbo.evaluate.evaluation import Evaluation, anneal, evaluate, evaluate_model, evaluate_split
from nelbo.evaluate.likelihood import Estimate, importance_log_likelihood
from nelbo.models.activity import LatentSummary, summarise_latents
from nelbo.solvers.baselines import Baseline, baselines

__all__ = [
    "Annealed",
    "Annealing",
    "Baseline",
    "Bidirectional",
    "Comparison",
    "Estimate",
    "Evaluation",
    "LatentSummary",
    "anneal",
    "annealed_log_likelihood",
    "baselines",
    "bidirectional_log_likelihood",
    "compare",
    "evaluate",
    "evaluate_model",
    "evaluate_split",
    "importance_log_likelihood",
    "summarise_latents",
]
