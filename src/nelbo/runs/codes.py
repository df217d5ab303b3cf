"""The codes of a fitted model as data: what a later stage is trained on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from nelbo.data import Data, load

if TYPE_CHECKING:
    from nelbo.runs.fitted import Fitted

__all__ = ["codes_of"]


@torch.inference_mode()
def codes_of(fitted: Fitted, data: Data) -> Data:
    """The one code of each row as a table of columns z1, z2, ..., with the labels, groups and split of the rows."""
    codes = torch.cat([fitted.model.point(batch).float().cpu() for batch in fitted.batches(data).fixed()]).clone()
    found = load(codes, kind="real", name=f"codes of {data.spec.name}")
    columns = tuple(
        column.model_copy(update={"name": f"z{place}"}) for place, column in enumerate(found.spec.columns or (), 1)
    )
    spec = found.spec.model_copy(
        update={"columns": columns, "label_names": data.spec.label_names, "factors": data.spec.factors}
    )
    return replace(
        found,
        spec=spec,
        label=data.label,
        official=data.official,
        group=data.group,
        factors=data.factors,
        are_codes=True,
    )  # fmt: skip
