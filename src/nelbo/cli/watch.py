"""`nelbo watch`: a run that another process trains, live in the terminal."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nelbo.cli.output import print_json, show

if TYPE_CHECKING:
    from rich.console import RenderableType

    from nelbo.runs.snapshot import Snapshot

BLOCKS = "▁▂▃▄▅▆▇█"
CURVE, FEWEST = 40, 8  # epochs in a curve, at most and at least
BESIDE = 42  # characters of a line that are no curve
FIGURES = ("loss", "bound", "likelihood", "kl")
COLOURS = {"training": "green", "complete": "green", "starting": "yellow", "silent": "red", "failed": "red"}


def watch(
    run: Annotated[Path, typer.Argument(help="Folder of a run, which may not be there yet.")],
    once: Annotated[bool, typer.Option("--once", help="Print how it stands now, and leave.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print how it stands now as one JSON object.")] = False,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between looks.")] = 1.0,
) -> None:
    """Watch a run that another process trains: progress, figures, curves, pace, and whether it is alive.

    Example:  nelbo watch runs/001

    It only reads. It ends by itself when the run is complete or has failed; Ctrl-C leaves, and the training goes on.
    """
    from nelbo.runs import Run

    if json or once:
        from nelbo.runs.snapshot import snapshot

        found = snapshot(Run(run))
        if json:
            print_json(found.as_json())
        else:
            _print(found)
        return
    try:
        _follow(Run(run).folder, every)
    except KeyboardInterrupt:
        return


def _follow(folder: Path, every: float) -> None:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from nelbo.errors import NelboError
    from nelbo.runs import Run
    from nelbo.runs.snapshot import snapshot

    run, console = Run(folder), Console()
    with Live(Text(f"looking at {folder}"), console=console, auto_refresh=False) as live:
        while True:
            if not run.exists:
                live.update(Text(f"waiting for a run in {folder}: there is none yet"), refresh=True)
            else:
                try:
                    found = snapshot(run)
                except NelboError as problem:  # half copied, perhaps: the next look may find it whole
                    live.update(Text(str(problem)), refresh=True)
                else:
                    live.update(frame(found, console.width), refresh=True)
                    if found.status in {"complete", "failed"}:
                        return
            time.sleep(every)


def _print(found: Snapshot) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    console.print(frame(found, console.width))


def frame(found: Snapshot, width: int) -> RenderableType:
    """What is shown of a snapshot: a heading, progress, figures with their curves, and the rest in a line or two."""
    from rich.console import Group
    from rich.markup import escape
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    heading = Text.from_markup(
        f"[bold]{escape(found.run)}[/]  {escape(Path(found.source).name)}, {escape(found.recipe)}  "
        f"[{COLOURS[found.status]}]{_status(found)}[/]"
    )
    progress = Table.grid(padding=(0, 2))
    progress.add_row(
        f"epoch {found.epoch}/{found.epochs}",
        ProgressBar(total=max(1, found.steps), completed=found.step, width=24),
        f"step {found.step:,}/{found.steps:,}",
        _times(found),
    )
    figures = Table.grid(padding=(0, 2))
    figures.add_row("", "train", "", "validation", "", style="bold")
    curve = max(FEWEST, min(CURVE, (width - BESIDE) // 2))
    for name in FIGURES:
        if name in found.train or name in found.validation:
            cells = [cell for part in ("train", "validation") for cell in _cells(found, part, name, curve)]
            figures.add_row(name, *cells)
    return Group(heading, progress, figures, *(Text(line, style="dim") for line in _rest(found)))


def sparkline(values: Sequence[float | None], width: int = CURVE) -> str:
    """The last values as blocks from the lowest to the highest of them; a gap where there is none.

    >>> sparkline([0.0, 1.0, None, 0.5])
    '▁█ ▅'
    """
    recent = [math.nan if value is None else value for value in values[-width:]]
    known = [value for value in recent if math.isfinite(value)]
    if not known:
        return ""
    low, spread = min(known), max(known) - min(known)
    top = len(BLOCKS) - 1

    def block(value: float) -> str:
        return BLOCKS[math.floor((value - low) / spread * top + 0.5) if spread else 0] if math.isfinite(value) else " "

    return "".join(map(block, recent))


def _status(found: Snapshot) -> str:
    if found.status in {"complete", "failed"}:
        return f"{found.status}: {found.stopped}" if found.stopped else found.status
    ago = "" if found.age is None else f", last write {_length(found.age)} ago"
    words = {"silent": "silent: it may have been stopped", "starting": "starting", "training": "training"}
    return f"{words[found.status]}{ago}"


def _times(found: Snapshot) -> str:
    left = "" if found.seconds_left is None else f", {_length(found.seconds_left)} left"
    pace = "" if found.samples_per_second is None else f"  {found.samples_per_second:,.0f} samples/s"
    return f"{_length(found.seconds)} gone{left}{pace}"


def _cells(found: Snapshot, part: str, name: str, width: int) -> tuple[str, str]:
    figures: Mapping[str, float | None] = getattr(found, part)
    return show(figures.get(name)) if figures else "", sparkline(found.curves.get(part, {}).get(name, ()), width)


def _rest(found: Snapshot) -> list[str]:
    """Best epoch, rate and weights; gradients; latents and memory: what there is of them."""
    settings = [f"learning rate {found.lr:.3g}"] if found.lr is not None else []
    settings += [f"{name} {value:.3g}" for name, value in found.weights.items() if value is not None]
    best = [f"best epoch {found.best_epoch}"] if found.best_epoch is not None else []
    gradients = ", ".join(f"{name} {value:.3g}" for name, value in found.gradients.items() if value is not None)
    latents = []
    if found.latents:
        of = f" of {len(found.latents['kl'])}" if "kl" in found.latents else ""
        latents = [f"{found.latents['active']}{of} latents active"]
    memory = [f"{size:,.0f} MiB {name}" for name, size in found.memory.items()]
    lines = ["  ".join([*best, *settings]), f"gradient norms: {gradients}" if gradients else ""]
    return [line for line in [*lines, "  ".join([*latents, *memory])] if line]


def _length(seconds: float) -> str:
    """`5 s`, `3:20` minutes, `2 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
