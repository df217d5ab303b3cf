"""A likelihood per column: each column by the law of its kind, holes left out, levels of the whole table."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import expit, log_softmax
from torch import Tensor, nn

from nelbo.core import Batch
from nelbo.data import Column, Kind
from nelbo.errors import CompositionError, ConfigError
from nelbo.likelihoods import (
    BernoulliLikelihood,
    CategoricalLikelihood,
    GaussianLikelihood,
    LogNormalLikelihood,
    MixedLikelihood,
    NegativeBinomialLikelihood,
)
from nelbo.likelihoods.columns import grouped
from nelbo.likelihoods.links import log_mean
from nelbo.likelihoods.mixed import Given
from nelbo.registry import build, lookup, parse_part, spec_of

COLUMNS = [[1], [0, 4], [3], [2], [5]]  # Bernoulli, Gaussian, categorical, negative binomial, log-normal
OUTPUTS = 1 + 2 + 3 + 1 + 1
X = torch.tensor(
    [[0.5, 1.0, 4.0, 2.0, -9.0, 1.5], [-2.0, 0.0, 0.0, 0.0, -12.0, 0.2], [1.0, 1.0, 90.0, 1.0, -10.0, 7.0]]
).double()


def likelihood(sigma: str = "dimension") -> MixedLikelihood:
    torch.manual_seed(0)
    parts = [
        BernoulliLikelihood(Given(1), (1,)),
        GaussianLikelihood(Given(2), (2,), sigma=sigma, shift=[0.0, -10.0], scale=[1.0, 2.0]),  # type: ignore[arg-type]
        CategoricalLikelihood(Given(3), (1,), levels=3),
        NegativeBinomialLikelihood(Given(1), (1,), scale=[20.0]),
        LogNormalLikelihood(Given(1), (1,), scale=[2.0]),
    ]
    return MixedLikelihood(nn.Linear(2, OUTPUTS), (6,), parts, COLUMNS).double()


def latents(draws: int) -> Tensor:
    return torch.randn(draws, 3, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_each_column_is_scored_by_scipys_law_of_its_kind() -> None:
    part, z, x = likelihood(), latents(1)[0], X.numpy()
    out = part.get_submodule("network")(z).detach().numpy()
    sigma = np.sqrt(np.exp(-14) + 1)  # the variance of a start, above its floor
    mean = log_mean(torch.from_numpy(out[:, 6]), torch.tensor(20.0)).exp().numpy()  # within its limits
    expected = np.column_stack(
        [
            stats.norm(out[:, 1], sigma).logpdf(x[:, 0]),
            stats.bernoulli(expit(out[:, 0])).logpmf(x[:, 1]),
            stats.nbinom(1.0, 1 / (1 + mean)).logpmf(x[:, 2]),
            np.take_along_axis(log_softmax(out[:, 3:6], 1), x[:, 3:4].astype(int), 1)[:, 0],
            stats.norm(-10 + 2 * out[:, 2], 2 * sigma).logpdf(x[:, 4]),
            stats.lognorm(sigma, scale=2 * np.exp(out[:, 7])).logpdf(x[:, 5]),
        ]
    )
    np.testing.assert_allclose(part(z).log_prob(X).detach(), expected, rtol=1e-6)
    np.testing.assert_allclose(part.log_px(z.unsqueeze(0), Batch(X))[0].detach(), expected.sum(1), rtol=1e-6)


@pytest.mark.parametrize("draws", [1, 4])
def test_a_missing_cell_and_a_log_jacobian_count_in_their_own_column(draws: int) -> None:
    part, z = likelihood(), latents(draws)
    mask = torch.rand(X.shape, generator=torch.Generator().manual_seed(2)) < 0.6
    jacobian = torch.randn(X.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    cells = part(z.flatten(0, 1)).log_prob(X.repeat(draws, 1)).view(draws, *X.shape)
    expected = ((cells + jacobian) * mask).sum(-1)
    torch.testing.assert_close(part.log_px(z, Batch(X, mask=mask, log_jacobian=jacobian)), expected)
    spoilt = torch.where(mask, jacobian, torch.nan)
    value = part.log_px(z, Batch(X, mask=mask, log_jacobian=spoilt))
    torch.testing.assert_close(value, expected)
    assert all(bool(torch.isfinite(g).all()) for g in torch.autograd.grad(value.sum(), list(part.parameters())))
    torch.testing.assert_close(
        part.log_px(z, Batch(X, log_jacobian=torch.tensor(0.5).double())), cells.sum(-1) + 0.5 * X.shape[1]
    )


def test_context_reaches_the_network_once() -> None:
    class Seen(nn.Module):
        """The features are those of z, then moved by the context."""

        def forward(self, z: Tensor, context: Tensor) -> Tensor:
            return z.new_zeros(len(z), OUTPUTS) + context[:, :1]

    part, context = likelihood(), torch.arange(3.0).double().view(3, 1)
    part.network = Seen()
    found = part.log_px(latents(2), Batch(X, context=context))
    cells = part(latents(1)[0], context).log_prob(X).sum(-1)
    torch.testing.assert_close(found, cells.expand(2, -1))


def test_a_variance_in_closed_form_is_learned_inside_a_group() -> None:
    part = likelihood("optimal").train()
    part.log_px(latents(2), Batch(X))
    running = part.get_buffer("parts.1.running.batches")
    assert int(running) == 1


def test_the_spec_with_its_list_of_parts_builds_the_same_model() -> None:
    spec = {
        "part": "likelihood/mixed",
        "network": {"part": "network/linear", "in_features": 2, "out_features": 4},
        "shape": [2],
        "parts": [
            {"part": "likelihood/bernoulli", "network": {"part": "outputs/given", "out_features": 1}, "shape": [1]},
            {
                "part": "likelihood/categorical",
                "network": {"part": "outputs/given", "out_features": 3},
                "shape": [1],
                "levels": 3,
            },
        ],
        "columns": [[1], [0]],
    }
    built = build(spec)
    assert isinstance(built, MixedLikelihood)
    assert spec_of(built) == spec


@pytest.mark.parametrize(
    ("columns", "outputs", "words"),
    [
        ([[0], [1]], 4, r"shape \(3,\) was given"),
        ([[0], [1, 1]], 4, "share out each"),
        ([[0, 1], [2]], 4, "of its size"),
        ([[0], [2, 1]], 4, r"3 outputs \(\[1, 2\], group by group\), but this one has 4"),
    ],
)
def test_groups_that_do_not_share_out_the_columns_are_refused(
    columns: list[list[int]], outputs: int, words: str
) -> None:
    parts = [BernoulliLikelihood(Given(1), (1,)), GaussianLikelihood(Given(2), (2,))]
    if columns == [[0], [1]]:
        parts[1] = GaussianLikelihood(Given(1), (1,))
    network = Given(outputs)
    with pytest.raises(CompositionError, match=words):
        MixedLikelihood(network, (3,), parts, columns)


# Which likelihood a column takes.


def column(name: str, kind: Kind, high: float = 1.0) -> Column:
    return Column(name=name, kind=kind, low=0, high=high, distinct=2)


KINDS = [kind for kind in Kind if kind is not Kind.MIXED]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_column_has_a_likelihood_that_fits_it(kind: Kind) -> None:
    (group,) = grouped([column("a", kind, 4.0)], {})
    assert kind in lookup(f"likelihood/{parse_part(group.part)[0]}").fits  # type: ignore[attr-defined]


def test_columns_share_a_group_if_they_share_likelihood_and_levels() -> None:
    columns = [
        column("a", Kind.LEVELS, 3), column("b", Kind.REAL), column("c", Kind.LEVELS, 4), column("d", Kind.LEVELS, 3),
        column("e", Kind.ORDINAL, 3), column("f", Kind.CATEGORICAL, 3), column("g", Kind.CATEGORICAL, 0),
    ]  # fmt: skip
    found = {(group.part, group.levels): group.places for group in grouped(columns, {})}
    assert found == {
        ("categorical", 4): (0, 3, 5),
        ("gaussian:sigma=dimension", None): (1,),
        ("categorical", 5): (2,),
        ("ordinal", 4): (4,),
        ("categorical", 2): (6,),
    }
    named = {(group.part, group.levels): group.places for group in grouped(columns, {"ordinal": ["a", "c"]})}
    assert named["ordinal", 4] == (0, 4)
    assert named["ordinal", 5] == (2,)


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        ({"ordinl": "a"}, ConfigError, "did you mean 'ordinal'"),
        ({"ordinal": "grad"}, ConfigError, "did you mean 'grade'"),
        ({"": "grade"}, ConfigError, "write e.g. mixed:ordinal="),
        ({"ordinal": "grade", "categorical": ["grade"]}, ConfigError, "given to 'ordinal' and to 'categorical'"),
        ({"student-t": "grade"}, CompositionError, "'grade', which is levels; use one of: .*ordinal"),
        ({"mixed": "grade"}, CompositionError, "does not fit"),
    ],
)
def test_what_cannot_be_is_refused_with_the_remedy(
    asked: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        grouped([column("grade", Kind.LEVELS, 3), column("price", Kind.POSITIVE)], asked)


def test_columns_whose_names_read_as_numbers_can_be_named() -> None:
    _, asked = parse_part("mixed:ordinal=007+1.50,student-t=true", typed=False)
    assert asked == {"ordinal": ["007", "1.50"], "student-t": ["true"]}
    columns = [column("007", Kind.LEVELS, 3), column("1.50", Kind.LEVELS, 3), column("true", Kind.REAL)]
    assert [group.part for group in grouped(columns, asked)] == ["ordinal", "student-t"]
