"""`nelbo reproduce`: published results beside ours."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from nelbo.cli.output import print_json, print_table, say, show


def reproduce(
    name: Annotated[str | None, typer.Argument(help="Which one; without a name they are listed.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds: 0, 1, ...")] = 3,
    posterior: Annotated[
        str | None, typer.Option(help="The variant with this posterior: altosaar --posterior iaf is altosaar-iaf.")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="The published schedule, where it takes days: iwae --full is iwae-full.")
    ] = False,
    record: Annotated[
        bool,
        typer.Option("--record", help="Keep the figures in docs/reproductions/NAME.json; goes on where it stopped."),
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Run seeds anew that the record holds.")] = False,
    docs: Annotated[bool, typer.Option("--docs", help="Write docs/reproductions.md anew from the records.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Re-run a published result and print ours (mean and sd over seeds) beside it.

    Example:  nelbo reproduce ppca --seeds 3 --record
    """
    from nelbo.reproduce import REPRODUCTIONS, find, run_reproduction
    from nelbo.reproduce.docs import write_docs
    from nelbo.reproduce.record import RECORDS

    if docs:
        print(f"written: {write_docs()}")
        return
    if name is None:
        _list(REPRODUCTIONS, json)
        return
    name = name if posterior is None else f"{name}-{posterior}"
    name = f"{name}-full" if full else name
    found = find(name)
    content = run_reproduction(found, seeds, say, RECORDS / f"{name}.json" if record else None, again)
    if json:
        print_json(content)
        return
    print_result(content)
    if record:
        print(f"record: {RECORDS / f'{name}.json'}; tables: {write_docs()}")


def print_result(content: dict[str, Any]) -> None:
    """One line a figure: ours, the reference, the range, and whether it holds."""
    from nelbo.reproduce.record import CURVE

    rows = []
    for row in content["figures"]:
        if CURVE.fullmatch(row["name"]):
            continue  # drawn, with --record
        bar = "" if row["low"] is None and row["high"] is None else f"{show(row['low'])} .. {show(row['high'])}"
        verdict = {None: "", True: "holds", False: "does not hold"}[row["holds"]]
        rows.append([row["name"], row["mean"], row["sd"], row["reference"], bar, verdict])
    print_table(content["title"], ["figure", "ours", "sd", "reference", "range", ""], rows)
    if content["remark"]:
        print(content["remark"])


def _list(reproductions: dict[str, Any], json: bool) -> None:
    if json:
        print_json([{"name": r.name, "title": r.title} for r in reproductions.values()])
        return
    print_table("reproductions", ["name", "what"], [[r.name, r.title] for r in reproductions.values()])
