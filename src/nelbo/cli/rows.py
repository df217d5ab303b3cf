"""The rows that a command puts a run to use on: a split of its own data, or others that were named."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nelbo.cli.output import say

if TYPE_CHECKING:
    from torch import Tensor

    from nelbo.data import Data
    from nelbo.runs import Fitted, Run, TrainingRows

RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")]
NewRows = Annotated[
    str | None,
    typer.Argument(metavar="DATA", help="New rows like those trained on, instead of a split: a file, folder or name."),
]
Label = Annotated[str | None, typer.Option(help="Label column or key of the new rows (default: that of the run).")]


def chosen_rows(
    run: Run, fitted: Fitted, source: str | None, split: str, label: str | None
) -> tuple[Data, Tensor, TrainingRows | None]:
    """Data, row numbers in them, and the rows that the model was trained on, which are not read for new rows.

    Raises
    ------
    DataError
        If the new rows are not like those trained on, or the run's own data are no longer there.
    ConfigError
        If there is no such split, or a label is named for the run's own data.
    """
    import torch

    from nelbo.errors import ConfigError, DataError
    from nelbo.runs import TrainingRows, reopen

    if source is not None:
        data = fitted.read(source, label)
        say(data.spec.explain())
        return data, torch.arange(len(data)), None
    if label is not None:
        raise ConfigError(f"--label {label} is for new rows; the run's own labels were chosen when it was trained")
    if not run.exists:
        raise DataError(f"{run.folder} holds a model and no run, and so no rows of its own; name some after it")
    try:
        job = reopen(run)
    except DataError as problem:
        raise DataError(
            f"the data that {run.folder} was trained on cannot be read ({problem}); put them back, or name new rows "
            f"after the run"
        ) from problem
    return job.data, job.rows(split), TrainingRows(job.data, job.split.train)
