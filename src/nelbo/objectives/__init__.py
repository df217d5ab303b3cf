"""Objectives: ways to fit a model, and the schedules of their weights."""

from nelbo.objectives.aggregate import AggregatePosterior
from nelbo.objectives.autoencoder import Autoencoder
from nelbo.objectives.bounds import EvidenceLowerBound, ImportanceWeighted
from nelbo.objectives.elbo import ELBO, AnalyticKL, SampledKL
from nelbo.objectives.gradients import Pathwise
from nelbo.objectives.schedules import Schedule, parse_schedule

__all__ = [
    "ELBO",
    "AggregatePosterior",
    "AnalyticKL",
    "Autoencoder",
    "EvidenceLowerBound",
    "ImportanceWeighted",
    "Pathwise",
    "SampledKL",
    "Schedule",
    "parse_schedule",
]
