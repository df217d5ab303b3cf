"""The aggregate posterior: what the codes of all rows are together, and what the rate is made of."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast, final

import torch
from torch import Tensor
from torch.distributions import Distribution

from nelbo.core import Batch, Model
from nelbo.data import evenly
from nelbo.distributions.drawing import rsample_with_log_prob
from nelbo.distributions.factorised import Factorised
from nelbo.errors import CompositionError, ConfigError, DataError
from nelbo.evaluate.evaluation import finite
from nelbo.evaluate.likelihood import standard_error
from nelbo.evaluate.measure import Cell, Chart, Finding, Measure, Subject
from nelbo.registry import register

NUMBERS = 500_000  # draws times rows times latents scored together
NEAR = 1.0  # nats below the cap of the information, or a quarter of it
BARS = 60  # latents that a chart has room for
RATE, INFORMATION, MARGINAL = "rate", "mutual_information", "marginal_kl"
CORRELATION, BY_DIMENSION = "total_correlation", "dimension_wise_kl"
_NAMES = {
    RATE: "rate, KL(q(z given x) || p(z))",
    INFORMATION: "mutual information I(x; z)",
    MARGINAL: "marginal KL(q(z) || p(z))",
    CORRELATION: "  of it: total correlation",
    BY_DIMENSION: "  of it: single latents",
}
_TICKS = {
    RATE: "rate",
    INFORMATION: "information",
    MARGINAL: "marginal KL",
    CORRELATION: "correlation",
    BY_DIMENSION: "single latents",
}


@final
@dataclass(frozen=True, eq=False)
class Aggregate:
    """Log densities at S draws z of each of M rows, nats, float64; q(z) is the mean over all N rows."""

    log_q: Tensor  # [S, M]  log q(z given x) of the row that z comes from
    log_p: Tensor  # [S, M]
    log_mixture: Tensor  # [S, M]  log q(z) = log 1/N sum_n q(z given x_n)
    log_others: Tensor  # [S, M]  the same without the row that z comes from
    log_q_marginals: Tensor | None  # [S, M, D]  log q(z_d given x); None where that is no product
    log_marginals: Tensor | None  # [S, M, D]  log q(z_d)
    log_p_marginals: Tensor | None  # [S, M, D]  None where p(z) is none
    n: int  # N

    def terms(self) -> dict[str, Tensor]:
        """What the rate is made of, a value a draw, [S, M]: rate = information + marginal KL, exactly."""
        found = {
            RATE: self.log_q - self.log_p,
            INFORMATION: self.log_q - self.log_mixture,
            MARGINAL: self.log_mixture - self.log_p,
        }
        if self.log_marginals is not None:
            product = self.log_marginals.sum(-1)
            found[CORRELATION] = self.log_mixture - product
            if self.log_p_marginals is not None:
                found[BY_DIMENSION] = product - self.log_p
        return found

    def per_latent(self) -> dict[str, list[float]]:
        """I(x; z_d) and KL(q(z_d) || p(z_d)) of each latent, where they exist; their sum is the rate of the latent."""
        found = {}
        if self.log_q_marginals is not None and self.log_marginals is not None:
            found[INFORMATION] = (self.log_q_marginals - self.log_marginals).mean((0, 1)).tolist()
            if self.log_p_marginals is not None:
                found[MARGINAL] = (self.log_marginals - self.log_p_marginals).mean((0, 1)).tolist()
        return found


@torch.inference_mode()
def aggregate_posterior(
    model: Model, batches: Iterable[Batch], rows: int = 1_000, draws: int = 10
) -> Iterator[Aggregate]:
    r"""Draws of q(z given x_m), scored under q(z) = 1/N sum_n q(z given x_n): the exact sum over all N rows.

    One piece after the other, for M evenly spaced rows; memory does not grow with N but for the parameters of q. Noise
    is torch's own.

    Raises
    ------
    CompositionError
        If the posterior has no density, or the model is conditioned.
    DataError
        If there is one row only.
    """
    if not model.abilities.density:
        raise CompositionError(
            "an autoencoder's code is a point without a density, so that there is no rate to take apart; train with "
            "--posterior gaussian --objective elbo"
        )
    encoded: list[Distribution] = []
    for batch in batches:
        if batch.context is not None:
            raise CompositionError(
                "the codes of a conditional model are compared with another prior for each label, not all together; "
                "train without --condition"
            )
        encoded.append(model.encode(batch))
    n = sum(q.batch_shape[0] for q in encoded)
    if n < 2:
        raise DataError(
            "the aggregate posterior is one of several rows, but there is 1; choose another --split or other rows"
        )
    p = model.prior_of(None)
    chosen, first = evenly(torch.arange(n), rows), 0
    for q in encoded:
        size = q.batch_shape[0]
        mine = chosen[(chosen >= first) & (chosen < first + size)]
        if len(mine):
            z, log_q = rsample_with_log_prob(q, draws)
            cells = q.log_prob_per_dimension(z)[:, mine - first] if isinstance(q, Factorised) else None
            z, log_q = z[:, mine - first], cast("Tensor", log_q)[:, mine - first]
            width = max(1, NUMBERS // (draws * max(each.batch_shape[0] for each in encoded) * z.shape[-1]))
            for start in range(0, len(mine), width):
                part = slice(start, start + width)
                own = _Own(z[:, part], log_q[:, part], None if cells is None else cells[:, part], mine[part])
                yield _scored(encoded, p, own, n)
        first += size


def joined(pieces: Sequence[Aggregate]) -> Aggregate:
    """All rows together."""

    def along_rows(values: Sequence[Tensor | None]) -> Tensor | None:
        known = [value for value in values if value is not None]
        return torch.cat(known, 1) if known else None

    names = [name for name in vars(pieces[0]) if name != "n"]
    parts: dict[str, Any] = {name: along_rows([getattr(piece, name) for piece in pieces]) for name in names}
    return Aggregate(**parts, n=pieces[0].n)


@final
@dataclass(frozen=True, eq=False)
class _Own:
    """Draws of m rows under their own q(z given x)."""

    z: Tensor  # [S, m, D]
    log_q: Tensor  # [S, m]
    log_q_marginals: Tensor | None  # [S, m, D]
    rows: Tensor  # [m]


def _scored(encoded: Sequence[Distribution], p: Distribution, drawn: _Own, n: int) -> Aggregate:
    """Draws under every row."""
    z = drawn.z
    points = z.flatten(0, 1).unsqueeze(1)  # [S m, 1, D]
    own = drawn.rows.repeat(z.shape[0]).unsqueeze(1)
    others = torch.full((len(points),), -torch.inf, dtype=torch.float64)
    marginals: Tensor | None = None
    first = 0
    for q in encoded:
        size = q.batch_shape[0]
        if isinstance(q, Factorised):
            cells = q.log_prob_per_dimension(points)  # [S m, B, D]
            joint = cells.sum(-1)
            of_batch = torch.logsumexp(cells, 1).double()
            marginals = of_batch if marginals is None else torch.logaddexp(marginals, of_batch)
        else:
            joint = q.log_prob(points)
        is_own = torch.arange(first, first + size) == own
        others = torch.logaddexp(others, torch.logsumexp(joint.double().masked_fill(is_own, -torch.inf), 1))
        first += size
    others, log_q = others.view(z.shape[:2]), drawn.log_q.double()
    return Aggregate(
        log_q,
        p.log_prob(z).double(),
        torch.logaddexp(others, log_q) - math.log(n),
        others - math.log(n - 1),
        None if drawn.log_q_marginals is None else drawn.log_q_marginals.double(),
        None if marginals is None else marginals.view(z.shape) - math.log(n),
        p.log_prob_per_dimension(z).double() if isinstance(p, Factorised) else None,
        n,
    )


@register("measure/aggregate")
@final
class RateParts(Measure):
    r"""What the rate is made of: what z tells of x, and how far the codes of all rows together are from the prior.

        E_x KL(q(z given x) || p(z)) = I(x; z) + KL(q(z) || p(z)),    q(z) = 1/N sum_n q(z given x_n),

    and where both are products over latents the last term is the total correlation of q(z), which is 0 where its
    latents are independent, and sum_d KL(q(z_d) || p(z_d)). q(z) is the exact mean over all rows of the split; only z
    is drawn. Samples of the model start from p(z): where q(z) is far from it they decode codes that no row has.

    Of N rows the information is log N at most, and in expectation not above that of data without end; with the row that
    z comes from left out of q(z) it is not below. Both stand in the figures, and so do both of the marginal KL.

    Parameters
    ----------
    rows
        Rows whose draws are scored, at most, evenly spaced; q(z) is of all rows in any case. A flow that needs a pass a
        latent for the density of a z from elsewhere (iaf, spline) takes long: fewer will do.
    draws
        Of z, a row.

    References
    ----------
    Hoffman and Johnson (2016), ELBO surgery: yet another way to carve up the variational evidence lower bound; the
    total correlation: Chen et al. (2018), Isolating sources of disentanglement in VAEs, arXiv:1802.04942; the bounds by
    N rows: Poole et al. (2019), On variational bounds of mutual information, arXiv:1905.06922.
    """

    def __init__(self, rows: int = 1_000, draws: int = 10) -> None:
        if rows < 1 or draws < 1:
            raise ConfigError(f"aggregate needs 1 row and 1 draw or more, but {rows} and {draws} were given")
        self.rows = rows
        self.draws = draws

    def __call__(self, subject: Subject) -> Finding:
        pieces, done = [], 0
        scored = min(self.rows, len(subject.rows))
        for piece in aggregate_posterior(subject.model, subject.batches().fixed(), self.rows, self.draws):
            pieces.append(piece)
            before, done = done, done + piece.log_q.shape[1]
            subject.advance(len(subject.rows) * done // scored - len(subject.rows) * before // scored)
        return self._finding(subject, joined(pieces))

    def _finding(self, subject: Subject, found: Aggregate) -> Finding:
        terms = found.terms()
        value = {name: float(each.mean()) for name, each in terms.items()}
        error = {name: finite(standard_error(each.mean(0))) for name, each in terms.items()}
        noise = {name: finite(of_draws(each)) for name, each in terms.items()}
        above = {
            INFORMATION: finite(float((found.log_q - found.log_others).mean())),
            MARGINAL: finite(float((found.log_others - found.log_p).mean())),
        }
        title = f"{subject.split}: the codes of {found.n} rows together, nats per datum"
        rows: list[list[Cell]] = [[_NAMES[name], value[name], error[name], noise[name]] for name in terms]
        per_latent = found.per_latent()
        figures = {
            "n": found.n,
            "rows": found.log_q.shape[1],
            "draws": found.log_q.shape[0],
            "most_information": math.log(found.n),
            **value,
            "standard_error": error,
            "monte_carlo_error": noise,
            "without_own_row": above,
            "per_latent": per_latent,
        }
        points = [(float(place), value[name]) for place, name in enumerate(terms)]
        words = f"{title}: " + ", ".join(f"{_TICKS[name]} {value[name]:.2f}" for name in terms)
        charts = [Chart("bars", "", "nats", {"nats": points}, [_TICKS[name] for name in terms], words)]
        if per_latent and 1 < subject.model.latent <= BARS:
            series = {
                _TICKS[name]: [(float(place + 1), nats) for place, nats in enumerate(each)]
                for name, each in per_latent.items()
            }
            what = " and ".join(series)
            charts.append(Chart("bars", "latent", "nats", series, words=f"Of each latent by itself: {what}"))
        columns = ("", "nats", "standard error", "Monte Carlo error")
        return Finding(title, figures, columns, rows, self._notes(found.n, value, above), charts)

    def _notes(self, n: int, value: dict[str, float], above: dict[str, float | None]) -> tuple[str, ...]:
        cap = math.log(n)
        notes = [
            "the information is the part of the rate that tells rows apart; the marginal KL is what a prior that fits "
            f"the codes could save, {value[MARGINAL]:.2f} nats at most (nelbo fit-prior)",
        ]
        most, least = above[INFORMATION], above[MARGINAL]
        if value[INFORMATION] > cap - min(NEAR, cap / 4):
            notes.append(
                f"of {n} rows the information is log N = {cap:.2f} nats at most: these codes hardly overlap, so that "
                "of more rows it would be larger, and the marginal KL smaller (--split train)"
            )
        elif most is not None and least is not None:
            notes.append(
                f"of {n} rows the information comes out too small (log N = {cap:.2f} at most) and the marginal KL too "
                f"large: in expectation those of data without end are between {value[INFORMATION]:.2f} and {most:.2f}, "
                f"and between {least:.2f} and {value[MARGINAL]:.2f}"
            )
        if CORRELATION not in value:
            notes.append(
                "latents of this posterior are not scored one by one, so that there is no total correlation (there is "
                "with --posterior gaussian)"
            )
        elif BY_DIMENSION not in value:
            notes.append("this prior is no product over latents, so that the marginal KL is not that of single latents")
        return tuple(notes)


def of_draws(values: Tensor) -> float:
    """Standard error of the mean of [S, M] over draws, the M rows being given; NaN for one draw."""
    draws, rows = values.shape
    return float((values.var(0).mean() / (draws * rows)).sqrt()) if draws > 1 else math.nan
