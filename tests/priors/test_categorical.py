"""Groups of relaxed codes: what the decoder reads, and which priors and posteriors go together."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from nelbo.errors import ConfigError
from nelbo.networks import MLP
from nelbo.posteriors import RelaxedCategoricalPosterior, StraightThroughCategoricalPosterior
from nelbo.priors import CategoricalPrior


def test_the_decoder_reads_codes_that_sum_to_one_in_each_group() -> None:
    prior = CategoricalPrior(12, groups=3, temperature=0.1)
    z = prior().sample((20,))
    codes = prior.code(z)
    torch.testing.assert_close(codes, z.exp())
    torch.testing.assert_close(codes.view(20, 3, 4).sum(-1), torch.ones(20, 3))
    torch.testing.assert_close(prior.code(z.mean(0)).view(3, 4).sum(-1), torch.ones(3))


def test_every_category_is_as_likely() -> None:
    torch.manual_seed(0)
    z = CategoricalPrior(8, groups=2)().sample((20_000,)).view(-1, 2, 4)
    shares = torch.nn.functional.one_hot(z.argmax(-1), 4).double().mean(0)
    assert bool(((shares - 0.25).abs() < 4.5 * (0.25 * 0.75 / 20_000) ** 0.5).all())


def test_outputs_are_logits_group_by_group() -> None:
    network, x = MLP(5, 6), torch.randn(4, 5)
    q = RelaxedCategoricalPosterior(network, 6, groups=2, temperature=0.3)(x)
    torch.testing.assert_close(q.logits, network(x).view(4, 2, 3))
    assert q.temperature == 0.3


@pytest.mark.parametrize("wrong", [{"groups": 4}, {"groups": 0}, {"groups": 6}, {"temperature": 0.0}])
def test_what_cannot_be_is_refused_with_the_remedy(wrong: dict[str, Any]) -> None:
    remedy = r"categorical:temperature=0\.5" if "temperature" in wrong else r"categorical:groups=20"
    with pytest.raises(ConfigError, match=rf"use e\.g\. .*--prior {remedy}"):
        CategoricalPrior(6, **wrong)
    for kind, name in (
        (RelaxedCategoricalPosterior, "relaxed"),
        (StraightThroughCategoricalPosterior, "straight-through"),
    ):
        with pytest.raises(ConfigError, match=rf"use e\.g\. .*--posterior {name}-{remedy}"):
            kind(MLP(5, 6), 6, **wrong)
