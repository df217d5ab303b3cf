"""Runs on disk: what a training leaves behind, and the fitted model that stands alone."""

from nelbo.runs.fitted import Fitted, TrainingRows, load
from nelbo.runs.folder import Run, claim, last_of, runs
from nelbo.runs.staged import reopen, resume_stages, train_stages
from nelbo.runs.training import train_run
from nelbo.runs.weights import load_model, save_model

__all__ = [
    "Fitted",
    "Run",
    "TrainingRows",
    "claim",
    "last_of",
    "load",
    "load_model",
    "reopen",
    "resume_stages",
    "runs",
    "save_model",
    "train_run",
    "train_stages",
]
