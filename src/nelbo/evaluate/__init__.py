"""Evaluation: bounds, likelihoods, latents and the baselines beside them."""

from nelbo.evaluate.baselines import Baseline, baselines
from nelbo.evaluate.evaluation import Evaluation, evaluate, evaluate_model
from nelbo.evaluate.latent import LatentSummary, summarise_latents
from nelbo.evaluate.likelihood import Estimate, importance_log_likelihood

__all__ = [
    "Baseline",
    "Estimate",
    "Evaluation",
    "LatentSummary",
    "baselines",
    "evaluate",
    "evaluate_model",
    "importance_log_likelihood",
    "summarise_latents",
]
