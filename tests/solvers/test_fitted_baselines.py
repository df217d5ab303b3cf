"""What baselines keep of the training rows: through a file and back, on other rows, and when the file is not theirs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.naive_bayes import CategoricalNB
from torch import Tensor

from nelbo.data.spec import Column, DataSpec, Kind
from nelbo.errors import DataError, StorageError
from nelbo.solvers.baselines import Baseline, FittedBaselines, baselines, fit_baselines, marginals
from nelbo.storage import read_tensors, write_tensors

LATENT = 2
TRAIN = 40
Case = tuple[Tensor, DataSpec, Tensor | None]  # all rows, their spec after the transform, the log-Jacobian


def spec_of(
    shape: tuple[int, ...], kind: Kind, levels: int | None = None, transform: str = "none", high: tuple[int, ...] = ()
) -> DataSpec:
    columns = tuple(Column(name=f"c{top}", kind=kind, low=0, high=top, distinct=top + 1) for top in high)
    layout = "table" if len(shape) == 1 else "image"
    return DataSpec(
        name="rows", event_shape=shape, kind=kind, levels=levels, layout=layout, transform=transform,
        columns=columns or None,
    )  # fmt: skip


def uniform(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def levels(*shape: int, top: int, seed: int = 0) -> Tensor:
    """Unevenly spread levels 0..top - 1, as uint8."""
    return (uniform(*shape, seed=seed).square() * top).to(torch.uint8)


def reals(n: int, d: int) -> Tensor:
    return (uniform(n, d) - 0.5) @ uniform(d, d, seed=9) + 2.0


def mixed() -> tuple[Tensor, DataSpec]:
    random = np.random.default_rng(0)
    kinds = [Kind.LEVELS, Kind.REAL, Kind.COUNT, Kind.POSITIVE, Kind.BINARY, Kind.UNIT, Kind.REAL, Kind.CATEGORICAL]
    x = np.column_stack([
        random.integers(0, 4, 60), random.normal(5, 3, 60), random.negative_binomial(2, 0.2, 60),
        random.lognormal(1, 0.5, 60), random.integers(0, 2, 60), random.random(60), random.normal(0, 1, 60),
        random.integers(0, 3, 60),
    ])  # fmt: skip
    columns = tuple(
        Column(name=str(n), kind=kind, low=c.min(), high=c.max(), distinct=2)
        for n, (kind, c) in enumerate(zip(kinds, x.T, strict=True))
    )
    return torch.from_numpy(x), spec_of((8,), Kind.MIXED).model_copy(update={"columns": columns})


def cases() -> Iterator[tuple[str, Case]]:
    images = (60, 1, 4, 4)
    counts = torch.from_numpy(np.random.default_rng(1).negative_binomial(2, 0.2, (60, 3)))
    counts[:, 2] = 4  # not overdispersed
    constant = reals(60, 4)
    constant[:TRAIN, 1] = 5.0
    logs = uniform(60, 3).double().log()
    logits = torch.logit(uniform(*images).double() * 0.9 + 0.05)
    yield "binary", (levels(*images, top=2).float(), spec_of(images[1:], Kind.BINARY), None)
    yield "bytes", (levels(*images, top=256), spec_of(images[1:], Kind.BYTE, 256), None)
    yield "levels", (levels(60, 5, top=9), spec_of((5,), Kind.LEVELS, 9), None)
    yield "categorical", (levels(60, 2, top=3), spec_of((2,), Kind.CATEGORICAL, high=(2, 4)), None)
    yield "count", (counts, spec_of((3,), Kind.COUNT), None)
    yield "real", (reals(60, 4), spec_of((4,), Kind.REAL), None)
    yield "real image", (reals(60, 16).view(images), spec_of(images[1:], Kind.REAL), None)
    yield "a constant column", (constant, spec_of((4,), Kind.REAL), None)
    yield "one column", (reals(60, 1), spec_of((1,), Kind.REAL), None)
    yield "positive", (reals(60, 4).exp(), spec_of((4,), Kind.POSITIVE), None)
    yield "mixed", (*mixed(), None)
    noise = 0.99 * uniform(*images, seed=5)
    dequantised = spec_of(images[1:], Kind.REAL, 256, "dequantize")
    yield "dequantised bytes", (levels(*images, top=256) + noise, dequantised, None)
    noise = 0.99 * uniform(60, 3, seed=5)
    yield "dequantised counts", (counts + noise, spec_of((3,), Kind.REAL, transform="dequantize"), None)
    yield "log", (logs, spec_of((3,), Kind.REAL, transform="log"), -logs)
    yield "logit", (logits, spec_of(images[1:], Kind.REAL, 256, "logit"), logits.abs())


CASES = dict(cases())
EVERY_CASE = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def fitted(case: Case) -> FittedBaselines:
    x, spec, _ = case
    return fit_baselines(x[:TRAIN], spec, LATENT)


def scored(model: FittedBaselines, case: Case, rows: slice = slice(TRAIN, None)) -> list[Baseline]:
    x, _, log_jacobian = case
    return model.score(x[rows], log_jacobian=None if log_jacobian is None else log_jacobian[rows])


def per_row(figure: Baseline) -> Tensor:
    assert figure.per_row is not None
    return figure.per_row


@EVERY_CASE
def test_through_a_file_and_back_every_figure_is_the_same_to_the_bit(case: Case, tmp_path: Path) -> None:
    before = fitted(case)
    write_tensors(tmp_path / "baselines.safetensors", before.tensors())
    after = FittedBaselines.from_tensors(read_tensors(tmp_path / "baselines.safetensors")[0], case[1], LATENT)
    figures = scored(before, case)
    assert figures
    for one, other in zip(figures, scored(after, case), strict=True):
        assert {**vars(one), "per_row": None} == {**vars(other), "per_row": None}
        assert one.name == "gzip" or torch.equal(per_row(one), per_row(other))


@EVERY_CASE
def test_what_is_kept_is_numbers_on_the_cpu_that_forget_the_rows(case: Case) -> None:
    x, spec, _ = case
    train = x[:TRAIN].clone()
    model = fit_baselines(train, spec, LATENT)
    train.zero_()
    for one, other in zip(scored(model, case), scored(fitted(case), case), strict=True):
        assert one.log_likelihood == other.log_likelihood
    for tensor in model.tensors().values():
        assert tensor.dtype in {torch.float64, torch.int64}
        assert tensor.device.type == "cpu"


@EVERY_CASE
def test_fitted_and_scored_in_two_steps_is_the_same_as_in_one(case: Case) -> None:
    x, spec, log_jacobian = case
    jacobian = None if log_jacobian is None else log_jacobian[TRAIN:]
    at_once = baselines(x[:TRAIN], x[TRAIN:], spec, LATENT, log_jacobian=jacobian)
    assert [vars(each)["log_likelihood"] for each in at_once] == [b.log_likelihood for b in scored(fitted(case), case)]
    simplest = marginals(x[:TRAIN], x[TRAIN:], spec, log_jacobian=jacobian)
    assert simplest is not None
    torch.testing.assert_close(per_row(simplest), per_row(at_once[0]), rtol=0, atol=0)


@EVERY_CASE
def test_a_row_has_its_figure_whichever_rows_follow_it(case: Case) -> None:
    model = fitted(case)
    for few, all_of_them in zip(
        scored(model, case, slice(TRAIN, TRAIN + 7)), scored(model, case, slice(TRAIN, None)), strict=True
    ):
        if few.name != "gzip":  # one file of all rows
            torch.testing.assert_close(per_row(few), per_row(all_of_them)[:7], rtol=1e-10, atol=0)


@EVERY_CASE
def test_a_row_has_its_figure_whichever_rows_precede_it(case: Case) -> None:
    model, spec = fitted(case), case[1]
    for few, all_of_them in zip(
        scored(model, case, slice(TRAIN + 7, None)), scored(model, case, slice(TRAIN, None)), strict=True
    ):
        # The noise that makes a density of integers is of a value's place.
        is_noisy = few.name.startswith("pPCA") and spec.kind in {Kind.BYTE, Kind.LEVELS, Kind.COUNT}
        if few.name != "gzip" and not is_noisy:
            torch.testing.assert_close(per_row(few), per_row(all_of_them)[7:], rtol=1e-10, atol=0)


@EVERY_CASE
def test_chunks_of_rows_change_nothing(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = scored(fitted(case), case)
    monkeypatch.setattr("nelbo.solvers.rows.CHUNK_CELLS", 3 * case[1].dim)
    for one, other in zip(whole, scored(fitted(case), case), strict=True):
        assert one.log_likelihood == pytest.approx(other.log_likelihood, rel=1e-10)


def test_scoring_leaves_the_generator_of_the_process_alone() -> None:
    before = torch.get_rng_state()
    scored(fitted(CASES["levels"]), CASES["levels"])
    assert torch.equal(torch.get_rng_state(), before)


def test_levels_that_only_scored_rows_have_are_counted_as_in_naive_bayes_of_one_class() -> None:
    train, test = levels(60, 3, top=5), levels(20, 3, top=9, seed=1)
    all_levels = torch.cat([train, test]).amax(0).int().numpy() + 1
    assert (all_levels > train.amax(0).numpy() + 1).any()
    peer = CategoricalNB(alpha=1.0, fit_prior=False, min_categories=all_levels).fit(train.numpy(), np.zeros(60))
    expected = peer.feature_log_prob_
    figure = fit_baselines(train, spec_of((3,), Kind.ORDINAL), LATENT).score(test)[0]
    by_hand = [sum(expected[d][0, level] for d, level in enumerate(row)) for row in test.int().tolist()]
    np.testing.assert_allclose(per_row(figure).numpy(), by_hand, rtol=1e-10)


# What is stored.


def test_histograms_keep_the_counts() -> None:
    x, spec, _ = CASES["categorical"]
    counts = fitted((x, spec, None)).tensors()["marginals.counts"]
    for column, kept in zip(x[:TRAIN].numpy().T, counts.numpy(), strict=True):
        np.testing.assert_array_equal(kept, np.bincount(column, minlength=5))


def test_counts_keep_their_mean_and_variance() -> None:
    kept = fitted(CASES["count"]).tensors()
    train = CASES["count"][0][:TRAIN].numpy()
    np.testing.assert_allclose(kept["marginals.mean"], train.mean(0), rtol=1e-12)
    np.testing.assert_allclose(kept["marginals.variance"], train.var(0), rtol=1e-12)


def test_positive_columns_of_a_mixed_table_keep_the_moments_of_their_logarithms() -> None:
    kept = fitted(CASES["mixed"]).tensors()
    logs = np.log(CASES["mixed"][0][:TRAIN, 3].numpy())
    np.testing.assert_allclose(kept["marginals.positive.mean"], [logs.mean()], rtol=1e-12)
    np.testing.assert_allclose(kept["marginals.positive.variance"], [logs.var()], rtol=1e-12)
    assert {name.split(".")[0] for name in kept} == {"marginals"}


def test_constant_columns_are_counted_and_given_a_variance() -> None:
    kept = fitted(CASES["a constant column"]).tensors()
    variances = CASES["a constant column"][0][:TRAIN].double().numpy().var(0)
    assert int(kept["marginals.constant"]) == 1
    assert float(kept["marginals.variance"][1]) == pytest.approx(variances[[0, 2, 3]].mean() / (TRAIN + 1))


def test_ppca_of_a_table_is_scikit_learns_of_standardised_columns() -> None:
    kept = fitted(CASES["real"]).tensors()
    train = CASES["real"][0][:TRAIN].double().numpy()
    peer = PCA(LATENT).fit(train / train.std(0))
    covariance = kept["ppca.weight"] @ kept["ppca.weight"].T + kept["ppca.noise_variance"] * torch.eye(4)
    # scikit-learn divides by N - 1, the maximum of the likelihood by N.
    np.testing.assert_allclose(covariance, peer.get_covariance() * (TRAIN - 1) / TRAIN, rtol=1e-9)
    np.testing.assert_allclose(kept["ppca.mean"], peer.mean_, rtol=1e-12)
    np.testing.assert_allclose(kept["ppca.scale"], train.std(0), rtol=1e-12)


def test_a_model_that_is_given_the_label_keeps_nothing() -> None:
    x, spec, _ = CASES["real"]
    given = spec.model_copy(update={"condition": "label", "label_names": ("a", "b")})
    model = fit_baselines(x, given, LATENT)
    assert model.tensors() == {}
    assert FittedBaselines.from_tensors({}, given, LATENT).score(x) == []


# What is refused.


def refuses(tensors: dict[str, Tensor], spec: DataSpec, latent: int = LATENT) -> None:
    with pytest.raises(
        StorageError, match=r"does not hold the baselines of this model \(.+\); restore it from a copy$"
    ):
        FittedBaselines.from_tensors(tensors, spec, latent)


@EVERY_CASE
def test_a_tensor_that_is_missing_or_of_another_form_is_refused(case: Case) -> None:
    stored, spec = fitted(case).tensors(), case[1]
    for name, tensor in stored.items():
        refuses({other: kept for other, kept in stored.items() if other != name}, spec)
        refuses({**stored, name: tensor.unsqueeze(0)}, spec)
        refuses({**stored, name: tensor.float()}, spec)
        refuses({**stored, name: tensor.to(torch.int32)}, spec)
        if tensor.dim() > 0:
            refuses({**stored, name: tensor[1:]}, spec)
    refuses({**stored, "marginals.more": torch.zeros(1)}, spec)
    refuses({**stored, "more": torch.zeros(1)}, spec)


@EVERY_CASE
def test_a_number_that_no_fit_can_give_is_refused(case: Case) -> None:
    stored, spec = fitted(case).tensors(), case[1]
    for name, tensor in stored.items():
        if tensor.numel() == 0:  # the weight of no latents
            continue
        impossible = [-1, 2**62] if tensor.dtype == torch.int64 else [float("nan"), float("inf")]
        for number in impossible:
            wrong = tensor.clone()
            wrong.view(-1)[-1] = number
            refuses({**stored, name: wrong}, spec)


@pytest.mark.parametrize(
    ("case", "name", "number"),
    [
        ("real", "marginals.variance", 0.0),
        ("real", "ppca.scale", -1.0),
        ("real", "ppca.noise_variance", 0.0),
        ("real", "ppca.weight", 1e200),  # whose square is infinite
        ("real", "marginals.constant", 5),
        ("count", "marginals.mean", 0.0),
        ("count", "marginals.variance", -1.0),
        ("levels", "marginals.counts", 0),  # counts of no rows
    ],
)
def test_a_number_out_of_range_is_refused(case: str, name: str, number: float) -> None:
    stored = fitted(CASES[case]).tensors()
    refuses({**stored, name: torch.full_like(stored[name], number)}, CASES[case][1])


def test_counts_of_different_numbers_of_rows_are_refused() -> None:
    stored = fitted(CASES["levels"]).tensors()
    stored["marginals.counts"][0, 0] += 1
    refuses(stored, CASES["levels"][1])


def test_counts_of_levels_that_a_column_does_not_have_are_refused() -> None:
    stored = fitted(CASES["categorical"]).tensors()
    stored["marginals.counts"][0] = stored["marginals.counts"][0].roll(3)  # the first column has 3 levels, not 5
    refuses(stored, CASES["categorical"][1])


def test_the_baselines_of_another_model_are_refused() -> None:
    stored = fitted(CASES["real"]).tensors()
    refuses(stored, CASES["real"][1], latent=1)
    refuses(stored, CASES["mixed"][1])
    refuses(stored, spec_of((5,), Kind.REAL))
    refuses(stored, spec_of((4,), Kind.COUNT))


def test_rows_of_another_size_or_none_are_refused() -> None:
    model = fitted(CASES["real"])
    with pytest.raises(DataError, match="need 4 values in a row"):
        model.score(torch.zeros(5, 1))
    with pytest.raises(DataError, match="empty"):
        model.score(torch.zeros(0, 4))


def test_scored_values_outside_the_declared_levels_are_refused() -> None:
    model = fitted(CASES["levels"])
    with pytest.raises(DataError, match=r"outside the levels 0\.\.8"):
        model.score(torch.full((3, 5), 9))
