"""Citations: every key that is used exists, and entries are BibTeX."""

from __future__ import annotations

import pytest

from nelbo import citations
from nelbo.data import catalogue
from nelbo.errors import ConfigError
from nelbo.recipes import RECIPES


def test_every_recipe_and_every_data_set_has_a_source() -> None:
    for recipe in RECIPES.values():
        assert citations.find(recipe.citation).authors
    for dataset in catalogue():
        (source,) = citations.of_data(dataset.name)
        family = source.authors[0].partition(",")[0]
        assert family in dataset.citation
        assert str(source.year) in dataset.citation


def test_authors_are_shortened_as_in_a_text() -> None:
    assert citations.find("kingma2014").short == "Kingma & Welling (2014)"
    assert citations.find("higgins2017").short == "Higgins et al. (2017)"
    assert citations.find("nazabal2020").short == "Nazábal et al. (2020)"


def test_parts_in_use_bring_their_sources() -> None:
    settings = {
        "likelihood": "gaussian:sigma=shared", "transform": "logit:squeeze=1e-5", "optimizer": "adagrad", "beta": 2.0,
        "source": "frey-faces",
    }  # fmt: skip
    keys = [source.key for source in citations.of_run("lucas2019", settings)]
    assert keys[0] == "lucas2019"
    assert {"rybkin2021", "papamakarios2017", "duchi2011", "higgins2017", "roweis2000"} <= set(keys)
    assert len(keys) == len(set(keys))


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean 'higgins2017'"):
        citations.find("higins2017")


def test_titles_keep_their_capitals() -> None:
    assert "title = {{Don't Blame the ELBO! A Linear VAE" in citations.find("lucas2019").bibtex
