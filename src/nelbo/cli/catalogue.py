"""`nelbo recipes`, `datasets`, `runs`, `report`, `cite`: what there is, and what was made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nelbo.cli.output import print_json, print_table
from nelbo.cli.plugin import Plugins, load_plugins

if TYPE_CHECKING:
    from nelbo.citations import Citation
    from nelbo.compose import Part
    from nelbo.runs import Run

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def recipes(json: Json = False) -> None:
    """List the recipes: each is a named choice of parts and objective.

    Example:  nelbo recipes      then      nelbo train mnist --recipe conv-vae
    """
    from nelbo.citations import find
    from nelbo.recipes import RECIPES

    if json:
        rows = [
            {
                "name": each.name,
                "summary": each.summary,
                "citation": find(each.citation).short,
                "defaults": dict(each.defaults),
            }
            for each in RECIPES.values()
        ]
        print_json({"recipes": rows})
        return
    table = [[each.name, each.summary, find(each.citation).short] for each in RECIPES.values()]
    print_table("", ["recipe", "what it is", "source"], table)
    print("BibTeX of a recipe: nelbo cite NAME")


def parts(
    kind: Annotated[
        str | None,
        typer.Argument(help="prior, posterior, likelihood, network, objective, gradient, measure; all if left out."),
    ] = None,
    plugin: Plugins = None,
    json: Json = False,
) -> None:
    """List the parts that models are composed of, with their options, what they fit, and their sources.

    Example:  nelbo parts prior      then      nelbo train mnist --prior vamp:components=500
    """
    from nelbo.compose import KINDS, catalogue
    from nelbo.errors import unknown

    load_plugins(plugin)
    if kind is not None and kind not in KINDS:
        raise unknown("kind of part", kind, KINDS)
    found = [part for each in KINDS if kind in {None, each} for part in catalogue(each)]
    if json:
        rows = [{**vars(part), "citations": _origin(part)} for part in found]
        print_json({"parts": rows})
        return
    for each in KINDS:
        table = [
            [
                part.name,
                part.summary,
                part.serves,
                part.option_string,
                "; ".join(_origin(part)),
            ]
            for part in found
            if part.kind == each
        ]
        if table:
            print_table("", [each, "what it is", "for", "options", "source"], table)


def _origin(part: Part) -> list[str]:
    """The sources of a part; of a user's own, its file."""
    from nelbo.citations import of_part
    from nelbo.plugins import origin

    path = f"{part.kind}/{part.name}"
    plugin = origin(path)
    if plugin is not None:
        return [str(plugin.file)]
    return [source.short for source in of_part(path)] or [part.reference]


def datasets(json: Json = False) -> None:
    """List the data sets known by name, and where each is found.

    Example:  nelbo datasets      then      nelbo train fashion-mnist

    They are looked for in the folder that NELBO_DATA names, then in the user's cache, then fetched.
    """
    from nelbo.data import catalogue

    found = catalogue()
    if json:
        print_json({"datasets": [{**vars(each), "kind": each.kind.value} for each in found]})
        return
    table = [
        [
            each.name,
            each.rows,
            "x".join(map(str, each.shape)),
            each.kind.value if each.levels is None else f"{each.kind.value}, {each.levels} levels",
            each.labels or None,
            each.where,
        ]
        for each in found
    ]
    print_table("", ["data set", "rows", "shape", "values", "classes", "where"], table)


def runs(
    folder: Annotated[Path, typer.Argument(help="Where to look, with all folders below.")] = Path("runs"),
    json: Json = False,
) -> None:
    """List the runs below a folder, with their test figures.

    Example:  nelbo runs      or      nelbo runs experiments --json
    """
    from nelbo.errors import RunError
    from nelbo.runs import runs as runs_below

    if not folder.is_dir() and folder != Path("runs"):
        raise RunError(f"there is no folder '{folder}'; name one that holds runs")
    found = [_summary(run) for run in runs_below(folder)]
    if json:
        print_json({"runs": found})
        return
    if not found:
        print(f"there are no runs below {folder}; start one with: nelbo train digits")
        return
    header = ["run", "source", "recipe", "latent", "epochs", "log-likelihood", "bits/dim", "state"]
    print_table("test figures, nats per datum", header, [list(each.values()) for each in found])


def report(run: Annotated[Path, typer.Argument(help="Folder of a run.")], plugin: Plugins = None) -> None:
    """Write a run's report anew: one self-contained HTML file.

    Example:  nelbo report runs/001
    """
    from nelbo.report import write_report
    from nelbo.runs import Run

    load_plugins(plugin)
    print(f"report: {write_report(Run(run))}")


def cite(
    name: Annotated[str | None, typer.Argument(help="A run, a recipe or a data set; nelbo itself if left out.")] = None,
    json: Json = False,
) -> None:
    """Print what to cite, as BibTeX: nelbo, and the sources of a recipe, a data set, or all a run is made of.

    Example:  nelbo cite runs/001 > sources.bib
    """
    from nelbo.citations import software

    sources = (software(), *(() if name is None else _sources(name)))
    if json:
        print_json({"citations": [{"key": s.key, "short": s.short, "bibtex": s.bibtex} for s in sources]})
        return
    print("\n\n".join(source.bibtex for source in sources))


def _sources(name: str) -> tuple[Citation, ...]:
    from nelbo.citations import find, of_data, of_run
    from nelbo.data import catalogue
    from nelbo.errors import unknown
    from nelbo.recipes import RECIPES
    from nelbo.runs import Run

    if name in RECIPES:
        return (find(RECIPES[name].citation),)
    names = [each.name for each in catalogue()]
    if name in names:
        return of_data(name)
    if not Run(name).exists and len(Path(name).parts) == 1 and not Path(name).exists():
        raise unknown("recipe, data set or run", name, [*RECIPES, *names])
    settings = Run(name).config()["settings"]
    return of_run(_recipe_key(str(settings["recipe"])), settings)


def _recipe_key(name: str) -> str:
    from nelbo.recipes import find

    return find(name).citation


def _state(run: Run, stopped: str) -> str:
    from nelbo.runs.folder import FAILED

    if not run.is_complete:
        return "failed" if stopped.startswith(FAILED) else "unfinished"
    return "complete" if stopped.startswith("all ") else stopped or "complete"


def _summary(run: Run) -> dict[str, Any]:
    """One line about a run; a damaged one is listed as such."""
    from nelbo.errors import NelboError

    try:
        settings, state, evaluation = run.config()["settings"], run.state(), run.evaluation() or {}
        epochs = len(run.metrics())
        state_of = _state(run, str(state.get("stopped", "")))
    except (NelboError, KeyError) as problem:
        settings, evaluation, epochs, state_of = {}, {}, None, f"damaged: {problem}"
    return {
        "run": str(run.folder),
        "source": settings.get("source"),
        "recipe": settings.get("recipe"),
        "latent": settings.get("latent"),
        "epochs": epochs,
        "log_likelihood": evaluation.get("log_likelihood"),
        "bits_per_dim": evaluation.get("bits_per_dim"),
        "state": state_of,
    }
