"""What the metrics of a run say about its course: curves, the rise at the end, the fall after the best epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np
import numpy.typing as npt

from nelbo.doctor.thresholds import ENOUGH, SIGMAS
from nelbo.runs.folder import FAILED

__all__ = ["History"]

Array = npt.NDArray[np.float64]
TAIL = 5  # the last fifth of the epochs is looked at
LEARNING = 0.2  # the first fifth, in which anything improves, is no yardstick


@final
class History:
    """The records of `metrics.jsonl` as curves.

    Parameters
    ----------
    metrics
        One record an epoch.
    state
        How training ended; may be empty.
    """

    def __init__(self, metrics: Sequence[Mapping[str, Any]], state: Mapping[str, Any]) -> None:
        self._metrics = metrics
        self._state = state
        self.epochs: Array = np.array([float(record["epoch"]) for record in metrics])

    def __len__(self) -> int:
        return len(self._metrics)

    def curve(self, part: str, name: str) -> Array:
        """A figure of `train` or `validation` after each epoch, NaN where there is none."""
        return _floats([record.get(part, {}).get(name) for record in self._metrics])

    def record(self, part: str, epoch: int | None = None) -> Mapping[str, Any]:
        """The figures of `train` or `validation` of an epoch, of the last by default; empty where there is none."""
        found = [each for each in self._metrics if epoch is None or int(each["epoch"]) == epoch]
        figures: Mapping[str, Any] = found[-1].get(part, {}) if found else {}
        return figures

    def setting(self, name: str) -> Array:
        """`lr` or another figure of the epoch itself."""
        return _floats([record.get(name) for record in self._metrics])

    def gradients(self, group: str) -> Array:
        """The gradient norm of a part at the last step of each epoch, before clipping; 0 where there is none."""
        return np.nan_to_num(_floats([record.get("gradients", {}).get(group) for record in self._metrics]), posinf=0.0)

    @property
    def weights(self) -> dict[str, Array]:
        """The weights of the loss that a warm-up moves, by name, after each epoch."""
        records = [_weights(record) for record in self._metrics]
        return {name: _floats([record.get(name) for record in records]) for name in (records[-1] if records else {})}

    @property
    def loss_is_bound(self) -> bool:
        """Whether what was minimised is the bound, negated: no weight other than 1, nothing added."""
        # Validation is at final weights in every epoch, training in the last.
        part, epochs = ("validation", slice(None)) if self.has_validation else ("train", slice(-1, None))
        loss, bound = self.curve(part, "loss")[epochs], self.curve(part, "bound")[epochs]
        return bool(np.allclose(-loss, bound, rtol=1e-6))

    @property
    def steps(self) -> int:
        """Updates done."""
        return int(self._metrics[-1].get("step", 0)) if self._metrics else 0

    @property
    def has_validation(self) -> bool:
        return bool(np.isfinite(self.curve("validation", "loss")).any())

    @property
    def is_finite(self) -> bool:
        """Whether the last training loss is a number."""
        loss = self.curve("train", "loss")
        return len(loss) == 0 or bool(np.isfinite(loss[-1]))

    @property
    def objective(self) -> Array:
        """What is to rise: minus the held-out loss at the final beta; minus the training loss if none is held out."""
        return -self.curve("validation" if self.has_validation else "train", "loss")

    @property
    def best_epoch(self) -> int | None:
        """The epoch with the lowest validation loss."""
        best = int(self._state.get("best_epoch") or 0)
        return best if self.has_validation and best > 0 else None

    @property
    def has_failed(self) -> bool:
        """Whether an error ended training."""
        return self.stopped.startswith(FAILED)

    @property
    def stopped(self) -> str:
        """Why training ended."""
        return str(self._state.get("stopped", ""))

    @property
    def last_kl(self) -> float:
        """Nats that the codes carry after the last epoch; 0 where that is not known."""
        kl = self.curve("validation" if self.has_validation else "train", "kl")
        return float(np.nan_to_num(kl[-1], posinf=0.0)) if len(kl) else 0.0

    def last_rise(self) -> float | None:
        """Rise of the objective in the last epoch, in nats; None where there is no epoch to compare with."""
        y = self._settled()
        return float(y[-1] - y[-2]) if len(y) > 1 else None

    def late_rise(self) -> tuple[float, float] | None:
        """Rise of the objective's fitted line over the last fifth, in nats, and as a share of the rise since the first.

        None for too few epochs, or where the rise is within the scatter around its line (three standard errors).
        A bound that grows with the logarithm of time has a share of 0.14, one that nears its limit as 1 / time 0.06.
        """
        y = self._settled()
        if len(y) < ENOUGH:
            return None
        tail = y[-max(4, math.ceil(len(y) / TAIL)) :]
        x = np.arange(len(tail), dtype=np.float64)
        slope, start = np.polyfit(x, tail, 1)
        rise = float(slope * (len(tail) - 1))
        error = _slope_error(x, tail - (start + slope * x)) * (len(tail) - 1)
        since = float(tail[-1] - y[int(LEARNING * len(y))])
        if rise <= SIGMAS * error or since <= 0:
            return None
        return rise, rise / max(since, rise)

    def rise_before_decay(self) -> float:
        """Rise of the objective from 40 % to 60 % of a run whose learning rate then fell below a tenth of its peak.

        A curve that flattens while the learning rate falls says little: what the middle of the run gained says whether
        there was more to be had. 0 where the rate did not fall, or the best epoch is not among the last tenth.
        """
        y, lr, best = self._settled(), self.setting("lr"), self.best_epoch
        if len(y) < ENOUGH or not np.isfinite(lr).all() or lr[-1] > 0.1 * lr.max():
            return 0.0
        if best is not None and best < 0.9 * float(self.epochs[-1]):
            return 0.0
        width = max(1, len(y) // 20)
        start, end = int(0.4 * len(y)), int(0.6 * len(y))
        return float(y[end : end + width].mean() - y[start : start + width].mean())

    def fall(self) -> float:
        """How far the objective's last tenth lies below its best epoch, beyond the scatter; 0 where it does not."""
        y = self._settled()
        if len(y) < ENOUGH:
            return 0.0
        last = y[-max(3, len(y) // 10) :]
        scatter = float(np.std(np.diff(y[-max(4, len(y) // TAIL) :]))) / math.sqrt(2)
        fall = float(np.max(y) - last.mean())
        return fall if fall > 4 * scatter else 0.0

    def gap(self) -> float | None:
        """Training bound minus validation bound after the last epoch, in nats."""
        gap = self.curve("train", "bound") - self.curve("validation", "bound")
        return float(gap[-1]) if len(gap) and math.isfinite(gap[-1]) else None

    def gap_growth(self) -> float:
        """How much that gap grew since the best epoch."""
        gap, best = self.curve("train", "bound") - self.curve("validation", "bound"), self.best_epoch
        at = np.flatnonzero(self.epochs == best)
        if not len(at) or not math.isfinite(gap[-1] - gap[at[0]]):
            return 0.0
        return float(gap[-1] - gap[at[0]])

    def _settled(self) -> Array:
        """The objective from the end of the warm-up on, where it is finite."""
        moving = [np.flatnonzero(each != each[-1]) for each in self.weights.values() if np.isfinite(each).all()]
        y = self.objective[max((int(epochs[-1]) + 1 for epochs in moving if len(epochs)), default=0) :]
        settled: Array = y[np.isfinite(y)]
        return settled


def _weights(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of an epoch; earlier versions kept one, beta."""
    return record.get("weights") or {name: record[name] for name in ("beta",) if name in record}


def _floats(values: Sequence[Any]) -> Array:
    return np.array([math.nan if value is None else float(value) for value in values], dtype=np.float64)


def _slope_error(x: Array, residuals: Array) -> float:
    """Standard error of a least-squares slope."""
    freedom = max(1, len(x) - 2)
    return math.sqrt(float(residuals @ residuals) / freedom / float(((x - x.mean()) ** 2).sum()))
