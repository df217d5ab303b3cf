"""Training: from settings to a fitted run."""

from nelbo.settings import Settings
from nelbo.train.checkpoint import TrainState
from nelbo.train.job import Job, prepare, train
from nelbo.train.trainer import Trainer

__all__ = ["Job", "Settings", "TrainState", "Trainer", "prepare", "train"]
