"""Who to cite for a part, a data set, a run, and nelbo itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nelbo.citations.citation import Citation
from nelbo.citations.sources import DATA, PARTS, SOURCES
from nelbo.errors import unknown


def find(key: str) -> Citation:
    """The source of that key.

    Raises
    ------
    ConfigError
        If there is none.
    """
    if key not in SOURCES:
        raise unknown("citation", key, SOURCES)
    return SOURCES[key]


def software() -> Citation:
    """nelbo itself, in the version at hand."""
    from nelbo import __version__

    title = "nelbo: autoencoders and variational autoencoders whose numbers can be trusted"
    return Citation("nelbo", "software", ("{The nelbo developers}",), title, other=(("version", __version__),))


def of_data(name: str) -> tuple[Citation, ...]:
    """The source of a named data set; none for data of the user's own."""
    return (find(DATA[name]),) if name in DATA else ()


def of_part(path: str) -> tuple[Citation, ...]:
    """The sources of a part by its registered name, such as `prior/vamp`; none where it is common knowledge."""
    return tuple(map(find, PARTS.get(path, ())))


def of_run(recipe_key: str, settings: Mapping[str, Any]) -> tuple[Citation, ...]:
    """The sources of what a run is made of: recipe, likelihood, transform, optimiser, evaluation, baseline, data.

    Parameters
    ----------
    recipe_key
        The citation of its recipe.
    settings
        Its resolved settings, as in `config.json`.
    """
    likelihood = str(settings.get("likelihood", ""))
    name = likelihood.partition(":")[0]
    keys = [recipe_key, "kingma2014", "rezende2014"]
    for kind in ("prior", "posterior", "likelihood", "network", "objective"):
        keys += PARTS.get(f"{kind}/{str(settings.get(kind, '')).partition(':')[0]}", ())
    if name == "gaussian" and ("sigma" not in likelihood or "=shared" in likelihood or "=optimal" in likelihood):
        keys.append("rybkin2021")
    if float(settings.get("beta", 1.0)) != 1.0:
        keys.append("higgins2017")
    for part in ("transform", "optimizer"):
        keys += PARTS.get(f"{part}/{str(settings.get(part, '')).partition(':')[0]}", ())
    keys += ["burda2016", "tipping1999"]
    return (*map(find, dict.fromkeys(keys)), *of_data(str(settings.get("source", ""))))
