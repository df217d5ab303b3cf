"""All that a rule of the files reads: settings, data, course and figures of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from nelbo.data import DataSpec
from nelbo.doctor.commands import plugin_files, train_command
from nelbo.doctor.comparable import are_comparable
from nelbo.doctor.history import History
from nelbo.doctor.thresholds import ENOUGH, NEGLIGIBLE, NEGLIGIBLE_ERROR, STILL_RISING, WORTH_MORE
from nelbo.doctor.wording import part_word
from nelbo.settings import Settings, resolve
from nelbo.train.job import AIM_STEPS

__all__ = ["MARGINALS", "Evidence"]

Figures = Mapping[str, Any]
MARGINALS = "independent marginals"


@final
@dataclass(frozen=True, eq=False)
class Evidence:
    """Settings, data, course and figures of a run."""

    settings: Settings
    spec: DataSpec
    split: Mapping[str, Any]
    history: History
    evaluation: Figures | None
    folder: str
    plugins: tuple[str, ...] = ()  # files that its parts come from

    @classmethod
    def of(
        cls, config: Figures, metrics: Sequence[Figures], evaluation: Figures | None, state: Figures, folder: str
    ) -> Evidence:
        """From the contents of the run's files."""
        return cls(
            settings=resolve(config["settings"]),
            spec=DataSpec.model_validate(config["data"]["spec"]),
            split=config["data"]["split"],
            history=History(metrics, state),
            evaluation=evaluation,
            folder=folder,
            plugins=plugin_files(config),
        )

    @property
    def row(self) -> str:
        """What one datum is called."""
        return part_word(self.spec.layout)

    @property
    def negligible(self) -> float:
        """A change of the bound that nobody need care about: 0.0015 bits a dimension, or a tenth of its error."""
        error = (self.evaluation or {}).get("bound_standard_error")
        return max(NEGLIGIBLE * self.spec.dim, 0.0 if error is None else NEGLIGIBLE_ERROR * float(error))

    @property
    def worth_more(self) -> float:
        """A rise within an epoch, or a fifth of a run, that promises more from a longer one."""
        return WORTH_MORE * self.negligible

    @property
    def still_rises(self) -> bool:
        """Whether the objective rose over the last fifth, by more than a course of 1 / time would."""
        late = self.history.late_rise()
        return late is not None and late[0] > self.negligible and late[1] > STILL_RISING

    @property
    def ran_out_of_rate(self) -> bool:
        """Whether it levelled off only because the learning rate fell."""
        return self.history.rise_before_decay() > self.worth_more

    @property
    def loses(self) -> bool:
        """Whether the figures of an evaluation are no better than those of independent marginals."""
        marginals = [each for each in self.comparable() if each["name"] == MARGINALS]
        return bool(marginals) and (self.gain(marginals[0]) or 0.0) < self.doubt(marginals[0])

    @property
    def lower_rate(self) -> float:
        """About a third of the learning rate."""
        return float(f"{self.settings.lr / 3:.1g}")

    def train(self, **changes: Any) -> str:
        """The command that trains again with some settings changed; for longer, where this run was too short."""
        too_short = len(self.history) < ENOUGH or self.still_rises or self.ran_out_of_rate
        return train_command(
            self.settings, self.spec, self.plugins, **{**(self._longer() if too_short else {}), **changes}
        )

    def _longer(self) -> dict[str, Any]:
        """Twice as long; a run of a few epochs leaves its length to the program, if that is longer."""
        settings = self.settings
        if settings.steps is not None:
            return {"steps": 2 * settings.steps}
        epochs = 2 * (settings.epochs or len(self.history))
        steps = math.ceil(int(self.split.get("train", 1)) / settings.batch_size) * epochs
        return {"epochs": None if epochs <= 2 * ENOUGH and steps < AIM_STEPS else epochs, "patience": None}

    def comparable(self) -> list[Figures]:
        """The baselines that have a figure and the model's reference measure, the best first."""
        if self.evaluation is None:
            return []
        measure = str(self.evaluation["reference_measure"])
        baselines = [
            each
            for each in self.evaluation.get("baselines") or []
            if each.get("log_likelihood") is not None and are_comparable(measure, str(each["reference_measure"]))
        ]
        return sorted(baselines, key=lambda each: -float(each["log_likelihood"]))

    def gain(self, baseline: Figures) -> float | None:
        """How many nats the model's log-likelihood lies above a baseline's."""
        figure = None if self.evaluation is None else self.evaluation.get("log_likelihood")
        return None if figure is None else float(figure) - float(baseline["log_likelihood"])

    def doubt(self, baseline: Figures) -> float:
        """Two standard errors of that gain, as if the two figures came from different rows: on the safe side."""
        errors = [(self.evaluation or {}).get("standard_error"), baseline.get("standard_error")]
        return 2.0 * math.hypot(*(float(error) for error in errors if error is not None))
