"""The data, and how they were read."""

from __future__ import annotations

import torch

from nelbo.doctor.wording import count, plain
from nelbo.report.html import Markup, definitions, details, element, figure, section, table
from nelbo.report.pictures import Display, as_image, columns_for, grid, how_many
from nelbo.report.subject import Subject

__all__ = ["data"]

EXAMPLES = 28
MOST_CLASSES = 12
FEW_COLUMNS, MOST_COLUMNS = 12, 60


def data(subject: Subject) -> Markup:
    """Shape, kind, split, every decision with its reason, what to beware of, and some examples."""
    spec = subject.spec
    reasons = [element("li", reason) for reason in spec.reasons]
    beware = [element("p", note, class_="note") for note in dict.fromkeys((*spec.warnings, *subject.job.split.notes))]
    return section(
        "data",
        "The data and how they were read",
        definitions(_facts(subject)),
        element("ul", reasons, class_="plain") if reasons else "",
        *beware,
        _examples(subject, subject.display) if subject.display is not None else _columns(subject),
    )


def _facts(subject: Subject) -> list[tuple[str, str]]:
    raw, spec, split = subject.raw_spec, subject.spec, subject.job.split
    levels = f", {raw.levels} levels" if raw.levels is not None else ""
    shape = " × ".join(map(str, raw.event_shape[-2:]))
    channels = count(raw.event_shape[0], "channel") if len(raw.event_shape) == 3 else "grey"
    what = f"images of {shape} pixels, {channels}" if raw.layout == "image" else f"rows of {count(raw.dim, 'column')}"
    facts = [
        ("Source", subject.job.settings.source),
        ("Size", f"{len(subject.job.data):,} {what}"),
        ("Kind", f"{raw.kind.value}{levels}"),
    ]
    if spec.transform != "none":
        facts.append(("Transform", f"{spec.transform}; the likelihood then sees {spec.kind.value} data"))
    facts.append(("Likelihood", subject.job.settings.likelihood))
    parts = f"{len(split.train):,} training, {len(split.validation):,} validation, {len(split.test):,} test"
    facts.append(("Split", f"{parts} ({split.how})"))
    classes = _classes(subject)
    return [*facts, ("Labels", classes)] if classes else facts


def _classes(subject: Subject) -> str:
    label, names = subject.job.data.label, subject.raw_spec.label_names or ()
    if label is None:
        return ""
    sizes = torch.bincount(label[label >= 0], minlength=len(names)).tolist()
    shown = [f"{names[i] if i < len(names) else i} ({size:,})" for i, size in enumerate(sizes[:MOST_CLASSES])]
    more = f", and {len(sizes) - MOST_CLASSES} more" if len(sizes) > MOST_CLASSES else ""
    missing = int((label < 0).sum())
    unknown = f"; {missing:,} without a label" if missing else ""
    return f"{count(len(sizes), 'class', 'classes')}: {', '.join(shown)}{more}{unknown}"


def _examples(subject: Subject, display: Display) -> Markup:
    height, width = subject.raw_spec.event_shape[-2:]
    rows = subject.views.some_rows("train", how_many(height, width, EXAMPLES))
    pixels = display(subject.views.raw(rows))
    columns = columns_for(pixels)
    pixels = pixels[: len(pixels) // columns * columns]
    picture = as_image(grid(pixels, columns), f"{len(pixels)} training images")
    return figure(picture, "Training images, evenly spaced over the data, as they are before any transform.")


def _columns(subject: Subject) -> Markup:
    """What was found in each column of a table."""
    columns = subject.raw_spec.columns or ()
    rows = [
        (c.name, c.kind.value, plain(c.low, 4), plain(c.high, 4), f"{c.distinct:,}") for c in columns[:MOST_COLUMNS]
    ]
    if not rows:
        return Markup("")
    found = table(("Column", "Kind", "Lowest", "Highest", "Distinct values"), rows, numeric=(2, 3, 4))
    if len(columns) <= FEW_COLUMNS:
        return found
    more = (
        f"The first {len(rows)} of {len(columns)} columns" if len(columns) > len(rows) else f"All {len(rows)} columns"
    )
    return details(more, found)
