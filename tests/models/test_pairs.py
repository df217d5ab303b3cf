"""Which prior goes with which posterior, and what is said of those that do not."""

from __future__ import annotations

import itertools
from typing import Any, cast

import pytest

from nelbo.core import Posterior, Prior, SinglePhase
from nelbo.errors import CompositionError
from nelbo.registry import registered
from nelbo.settings import resolve
from nelbo.train import prepare
from zoo import rows_of

PRIORS = {name: cast("type[Prior]", cls) for name, cls in registered("prior")}
POSTERIORS = {name: cast("type[Posterior]", cls) for name, cls in registered("posterior")}
ILLEGAL = [
    pair for pair in itertools.product(PRIORS, POSTERIORS) if PRIORS[pair[0]].space is not POSTERIORS[pair[1]].space
]


def compose(**settings: Any) -> SinglePhase:
    small = {"source": "levels", "latent": 3, "hidden": (4,), "epochs": 1}
    conditioned = settings.get("prior") == "conditional"
    given = {"condition": "label"} if conditioned else {}
    return prepare(resolve(small, given, settings), rows_of("levels", conditioned)).build()


@pytest.mark.parametrize(("prior", "posterior"), ILLEGAL)
def test_parts_over_different_spaces_are_refused_with_what_goes_together(prior: str, posterior: str) -> None:
    with pytest.raises(CompositionError) as refusal:
        compose(prior=prior, posterior=posterior)
    sentence = str(refusal.value)
    assert repr(prior) in sentence
    assert repr(posterior) in sentence
    for space in (PRIORS[prior].space, POSTERIORS[posterior].space):
        assert f"for {space.value} give --prior" in sentence


def test_there_are_pairs_of_both_sorts() -> None:
    assert ILLEGAL
    assert len(ILLEGAL) < len(PRIORS) * len(POSTERIORS)


@pytest.mark.parametrize("prior", [name for name, cls in PRIORS.items() if cls.space is POSTERIORS["delta"].space])
def test_a_point_posterior_has_no_bound_and_is_sent_to_its_objective(prior: str) -> None:
    with pytest.raises(CompositionError, match=r"--objective autoencoder, or --posterior gaussian"):
        compose(prior=prior, posterior="delta")
    assert compose(prior=prior, posterior="delta", objective="autoencoder") is not None


def test_the_autoencoder_objective_takes_no_posterior_with_a_density() -> None:
    with pytest.raises(CompositionError, match=r"give --posterior delta, or --objective elbo"):
        compose(objective="autoencoder")


def test_a_misspelt_part_gets_the_nearest_name() -> None:
    with pytest.raises(Exception, match="did you mean 'vamp'"):
        compose(prior="vampp")
    with pytest.raises(Exception, match="did you mean 'components'"):
        compose(prior="vamp:component=5")
