"""Labels as context: what a model is conditioned on, and in which order its classes come."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nelbo.data.sources import Data
from nelbo.data.spec import DataSpec
from nelbo.data.splits import Split
from nelbo.errors import DataError

__all__ = ["conditioned", "context_codes", "one_hot"]

AMONG = 2  # classes, the fewest that say anything


def conditioned(spec: DataSpec, data: Data, split: Split) -> DataSpec:
    """The spec of data whose labels the model reads, with the word that every figure then carries.

    log p(x) >= log p(label) + log p(x given label), so that figures given the label lie above those without by the
    cross-entropy of the labels at most: on average about the entropy of the class frequencies in training.

    Raises
    ------
    DataError
        If there are no labels, a row lacks one, or there is one class only.
    """
    if data.label is None:
        raise DataError(
            f"{spec.name!r} holds no labels to condition on; name their column or array with --label, or leave out "
            "--condition label"
        )
    missing = int((data.label < 0).sum())
    if missing:
        raise DataError(
            f"{missing} of {len(data)} rows of {spec.name!r} have no label, and a model conditioned on it cannot read "
            "them; remove those rows, or leave out --condition label"
        )
    classes = len(spec.label_names or ())
    if classes < AMONG:
        raise DataError(f"all rows of {spec.name!r} have the same label; leave out --condition label")
    share = torch.bincount(data.label[split.train], minlength=classes).double() / len(split.train)
    entropy = float(-torch.special.xlogy(share, share).sum())
    word = f"figures are given the label: log p(x given label), on average at most {entropy:.2f} nats above log p(x)"
    reason = f"the label, one of {classes}, is a context of encoder and decoder"
    return spec.model_copy(
        update={"condition": "label", "warnings": (*spec.warnings, word), "reasons": (*spec.reasons, reason)}
    )


def context_codes(data: Data, rows: Tensor, spec: DataSpec) -> Tensor | None:
    """The classes of all rows of `data`, [N], in the order of the classes trained on; None without a condition.

    Other data name their classes themselves: they are found by name.

    Raises
    ------
    DataError
        If one of `rows` has no label, or one of a class that was not trained on.
    """
    if spec.condition == "none":
        return None
    remedy = "the model is conditioned on it; name the column or array of labels with --label, or remove such rows"
    if data.label is None:
        raise DataError(f"{data.spec.name!r} holds no labels, but {remedy}")
    ours, theirs = spec.label_names or (), data.spec.label_names or ()
    places = torch.tensor([*(ours.index(name) if name in ours else -1 for name in theirs), -1])
    codes = places[data.label]  # the last place is that of a missing label, -1
    bad = rows[codes[rows] < 0]
    if len(bad):
        code = int(data.label[bad[0]])
        what = "has no label" if code < 0 else f"has the label {theirs[code]!r}, which is none of {', '.join(ours)}"
        raise DataError(f"row {int(bad[0])} of {data.spec.name!r} {what}, but {remedy}")
    return codes


def one_hot(codes: Tensor, classes: int) -> Tensor:
    """Codes [N] as contexts [N, C]."""
    return F.one_hot(codes, classes).to(torch.get_default_dtype())
