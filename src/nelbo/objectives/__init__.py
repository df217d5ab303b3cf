"""Objectives: ways to fit a model, and the schedules of their weights."""

from nelbo.objectives.aggregate import AggregatePosterior
from nelbo.objectives.autoencoder import Autoencoder
from nelbo.objectives.bounds import (
    CombinedBound,
    EvidenceLowerBound,
    ImportanceWeighted,
    LargestWeight,
    MultiplyImportanceWeighted,
    RenyiBound,
)
from nelbo.objectives.covariance import InferredPriorCovariance
from nelbo.objectives.discrepancy import MaximumMeanDiscrepancy
from nelbo.objectives.elbo import ELBO, AnalyticKL, SampledKL
from nelbo.objectives.factor import FactorVAE
from nelbo.objectives.gradients import DoublyReparameterised, Pathwise, StickingTheLanding
from nelbo.objectives.importance import IWAE, PIWAE, ImportanceObjective
from nelbo.objectives.mcem import MCEM
from nelbo.objectives.regularisers import Capacity, FreeBits, Regulariser, WeightedKL
from nelbo.objectives.schedules import Schedule, parse_schedule
from nelbo.objectives.score import NVIL, VIMCO, Reinforce, ReinforceAverage
from nelbo.objectives.solved import Solved
from nelbo.objectives.total_correlation import TotalCorrelation
from nelbo.objectives.wake_sleep import ReweightedWakeSleep, WakeSleep

__all__ = [
    "ELBO",
    "IWAE",
    "MCEM",
    "NVIL",
    "PIWAE",
    "VIMCO",
    "AggregatePosterior",
    "AnalyticKL",
    "Autoencoder",
    "Capacity",
    "CombinedBound",
    "DoublyReparameterised",
    "EvidenceLowerBound",
    "FactorVAE",
    "FreeBits",
    "ImportanceObjective",
    "ImportanceWeighted",
    "InferredPriorCovariance",
    "LargestWeight",
    "MaximumMeanDiscrepancy",
    "MultiplyImportanceWeighted",
    "Pathwise",
    "Regulariser",
    "Reinforce",
    "ReinforceAverage",
    "RenyiBound",
    "ReweightedWakeSleep",
    "SampledKL",
    "Schedule",
    "Solved",
    "StickingTheLanding",
    "TotalCorrelation",
    "WakeSleep",
    "WeightedKL",
    "parse_schedule",
]
