"""The rate-distortion curve of a fitted prior and decoder, and where the encoder lies beside it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from nelbo.core import Batch, Model
from nelbo.distributions.drawing import draw_common
from nelbo.distributions.kl import rate
from nelbo.errors import CompositionError, ConfigError
from nelbo.evaluate.annealing import Annealing, chunks, held_constant, spread_of
from nelbo.evaluate.evaluation import finite
from nelbo.evaluate.likelihood import standard_error
from nelbo.evaluate.measure import Cell, Chart, Finding, Measure, Subject
from nelbo.registry import register
from nelbo.samplers.hamiltonian import Target, adapted_steps, transition

PIECE = 20  # rows that are told of together
DRAWS = 100  # of the encoder, a row
PILOT = 64  # draws of the prior a row, that say where the path is steep
SCOUTS = 4  # chains that find the step sizes
LEAST = 1e-6  # of the spread under the prior: there is none where z is not read
FAR = 2.0  # times the length of the rest of the curve
FEW = 0.25  # of the chains carry the weight: the curve is loose there


@final
@dataclass(frozen=True, eq=False)
class Curve:
    """Points (distortion, rate) of N rows at each beta, from K chains a row; nats."""

    betas: tuple[float, ...]  # [J]  ascending from 0, the prior itself, which has no rate
    distortion: Tensor  # [J, N]
    rate: Tensor  # [J, N]
    effective: Tensor  # [J, N]  effective number of the K chains
    influence: Tensor  # [2, J, K]  of each chain on the mean distortion and the mean rate
    acceptance: float

    @property
    def errors(self) -> dict[str, list[float | None]]:
        """Monte Carlo errors over chains of the mean distortion, the mean rate, and the curve's height there.

        A point that is off along the curve is off in both coordinates; its height above the curve is R + beta D.
        """
        of_d, of_r = self.influence
        height = of_r + torch.tensor(self.betas, dtype=of_r.dtype).unsqueeze(1) * of_d
        named = {"distortion": of_d, "rate": of_r, "height": height}
        return {name: [finite(standard_error(each)) for each in of] for name, of in named.items()}

    def rate_at(self, distortion: float) -> float | None:
        """A mean rate that is enough for this mean distortion: on the chord between two points, 0 beyond the prior's.

        None where the distortion is less than that of all points.
        """
        d, r = self.distortion.mean(1).numpy(), self.rate.mean(1).numpy()
        order = np.argsort(d)
        return None if distortion < d.min() else float(np.interp(distortion, d[order], r[order]))


@final
@dataclass(frozen=True)
class Path:
    """The way of the chains from the prior to the largest beta."""

    marks: tuple[float, ...]  # 0 and the betas that are asked for, ascending
    schedule: tuple[float, ...]  # [T + 1]  from 0, all marks among them


@torch.no_grad()
def path_to(model: Model, batches: Iterable[Batch], betas: Iterable[float], temperatures: int, seed: int = 0) -> Path:
    """About T = `temperatures` steps from 0 to the largest beta.

    Near the prior log p(x given z) varies by a fixed amount c, and steps should be equal in beta; far from it by an
    amount in proportion to 1 / beta, and steps should be equal in log beta. They are equal in log(1 + c beta), c the
    standard deviation under the prior, a median over rows.
    """
    spreads = []
    with held_constant(model, seed):
        for batch in batches:
            for rows in chunks(batch, PILOT, None):
                z = _of_prior(model.prior_of(batch[rows].context), PILOT, len(batch[rows]))
                spreads.append(model.log_px(z, batch[rows]).double().std(0).cpu())
    if not spreads:
        raise ConfigError("there are no rows to measure; choose another --split or other rows")
    marks = sorted({0.0, *map(float, betas)})
    c = max(float(torch.cat(spreads).nanmedian()), LEAST)
    inner = torch.expm1(torch.linspace(0, math.log1p(c * marks[-1]), temperatures + 1, dtype=torch.float64)[1:-1]) / c
    return Path(tuple(marks), tuple(sorted({*inner.tolist(), *marks})))


def rate_distortion_curve(
    model: Model,
    batches: Iterable[Batch],
    path: Path,
    *,
    chains: int = 8,
    leapfrog: int = 8,
    seed: int = 0,
) -> Curve:
    r"""An upper bound of the rate-distortion curve of p(z) and p(x given z), by one annealing from the prior.

    Of all q(z given x), those with the least rate R = E_x KL(q || p(z)) at their distortion D = -E_x E_q log p(x given
    z) are q_b(z) = p(z) p(x given z)^b / Z_b, and R = -b D - E_x log Z_b. K chains of a row go from the prior, b = 0,
    to the largest b; at each b their weights w, whose mean is Z_b, give

        D_b = -sum_k (w_k / sum_j w_j) log p(x given z_k),    R_b = -b D_b - log (1/K) sum_k w_k.

    One of the chains, kept with a probability in proportion to its weight, is itself a q with the distortion E[D_b]
    and a rate of at most E[R_b]: for any number of chains and of steps the points are in expectation on or above the
    curve, and they near it as both grow. At b = 1, -(D + R) is the estimate of log p(x).

    Parameters
    ----------
    path
        `path_to` the betas.
    chains, leapfrog
        K, steps of each Hamiltonian transition.
    seed
        Of the noise, which is each chain's own.

    Raises
    ------
    CompositionError
        If the latents are not real vectors.

    References
    ----------
    Huang, Makhzani, Cao and Grosse (2020), Evaluating lossy compression rates of deep generative models,
    arXiv:2008.06653; the bound with several chains: Domke and Sheldon (2018), Importance weighting and variational
    inference, arXiv:1808.09034.
    """
    check_real(model)
    generator = torch.Generator().manual_seed(seed)
    with held_constant(model, seed):
        pieces = [
            _walk(model, batch[rows], path, chains, leapfrog, generator)
            for batch in batches
            for rows in chunks(batch, chains, None)
        ]
    rows = torch.tensor([each.rate.shape[1] for each in pieces], dtype=torch.float64)
    share = rows / rows.sum()
    return Curve(
        path.marks,
        torch.cat([each.distortion for each in pieces], 1),
        torch.cat([each.rate for each in pieces], 1),
        torch.cat([each.effective for each in pieces], 1),
        (torch.stack([each.influence for each in pieces], -1) * share).sum(-1),
        float((torch.tensor([each.acceptance for each in pieces]).double() * share).sum()),
    )


def check_real(model: Model) -> None:
    """Refuse a model whose latents no Hamiltonian chain can move.

    Raises
    ------
    CompositionError
        If the latents are not real vectors.
    """
    if not model.is_real:
        raise CompositionError(
            "the rate-distortion curve is found by chains that move real vectors, but these latents are "
            f"{model.space}; it takes a run with e.g. --prior standard --posterior gaussian"
        )


def _walk(model: Model, batch: Batch, path: Path, chains: int, leapfrog: int, generator: torch.Generator) -> Curve:
    """Chains of the rows of a batch."""
    schedule = path.schedule
    with torch.no_grad():
        p = model.prior_of(batch.context)
        spread = spread_of(p, 0, len(batch))
        scouts, first = (_of_prior(p, number, len(batch)) for number in (SCOUTS, chains))
    target = Target(p.log_prob, lambda z: model.log_joint(batch, z), spread)
    steps = adapted_steps(target, target.at(scouts), schedule, leapfrog, generator)
    point = target.at(first)
    log_w, accepted = torch.zeros_like(point.last, dtype=torch.float64), 0.0
    found, influences = [], []
    for t, beta in enumerate(schedule):
        if t > 0:
            log_w += (beta - schedule[t - 1]) * (point.last - point.first).double()
            point, taken = transition(target, point, beta, steps[t - 1], leapfrog, generator, shared=False)
            accepted += float(taken.mean()) / (len(schedule) - 1)
        if beta in path.marks:
            surprise, share = (point.first - point.last).double(), torch.softmax(log_w, 0)
            distortion = (share * surprise).sum(0)
            log_z = torch.logsumexp(log_w, 0) - math.log(chains)
            found.append((distortion, -log_z - beta * distortion, share.square().sum(0).reciprocal()))
            of_d, of_z = chains * share * (surprise - distortion), chains * share - 1
            influences.append(torch.stack([of_d.mean(1), (-of_z - beta * of_d).mean(1)]))
    distortion, rates, effective = (torch.stack(each).cpu() for each in zip(*found, strict=True))
    return Curve(path.marks, distortion, rates, effective, torch.stack(influences, 1).cpu(), accepted)


def _of_prior(p: Distribution, draws: int, rows: int) -> Tensor:
    """Draws [K, B, D] for each of B rows."""
    return p.sample(torch.Size((draws,) if p.batch_shape else (draws, rows)))


@torch.no_grad()
def encoder_point(model: Model, batches: Iterable[Batch], seed: int = 0) -> tuple[Tensor, Tensor]:
    """D = -E_q log p(x given z) and R = KL(q || p(z)) of the model's own posterior, [N] each; -(D + R) is its bound.

    References
    ----------
    Alemi et al. (2018), Fixing a broken ELBO, arXiv:1711.00464, section 2.
    """
    distortion, rates = [], []
    for piece in (batch[rows] for batch in batches for rows in chunks(batch, DRAWS, None)):
        q, p = model.encode(piece), model.prior_of(piece.context)
        z, log_q = draw_common(q, DRAWS, torch.Generator().manual_seed(seed), piece.inputs)
        closed_form = rate(q, p)
        kl = (log_q - p.log_prob(z)).mean(0) if closed_form is None else closed_form.sum(0)
        distortion.append(-model.log_px(z, piece).mean(0).double().cpu())
        rates.append(kl.double().cpu())
    return torch.cat(distortion), torch.cat(rates)


@register("measure/rate-distortion")
@final
class RateDistortion(Measure):
    """The least rate that this prior and decoder need at each distortion, and what the encoder pays.

    Rate is what the code z costs, KL(q || p(z)); distortion what is left of x when z is known, -E log p(x given z).
    The curve is that of the best q for each weight beta of the distortion, found by annealing the prior into p(z) p(x
    given z)^beta; its points are an upper bound (`rate_distortion_curve`). The encoder of the model lies on it or above
    it, the bound being minus the sum of its two coordinates, and log p(x) minus that of the point at beta = 1.

    Parameters
    ----------
    betas
        Points of the curve, beside 1.
    rows
        Rows at most, evenly spaced.
    chains, temperatures, leapfrog
        Chains a row, steps from the prior to the largest beta, steps of each Hamiltonian transition.

    References
    ----------
    Huang, Makhzani, Cao and Grosse (2020), Evaluating lossy compression rates of deep generative models,
    arXiv:2008.06653; Alemi et al. (2018), Fixing a broken ELBO, arXiv:1711.00464.
    """

    def __init__(
        self,
        betas: Sequence[float] | float = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0),
        rows: int = 30,
        chains: int = 8,
        temperatures: int = 200,
        leapfrog: int = 8,
    ) -> None:
        marks = [float(betas)] if isinstance(betas, int | float) else [float(beta) for beta in betas]
        if rows < 1 or not all(0 < beta < math.inf for beta in marks):
            raise ConfigError(
                f"rate-distortion needs 1 row or more and betas above 0, but rows={rows} and betas="
                f"{'+'.join(map(str, marks))} were given; use e.g. rate-distortion:betas=0.1+1+10"
            )
        self.betas = sorted({1.0, *marks})
        self.rows = rows
        self.how = Annealing(chains, temperatures, leapfrog, "prior")

    def __call__(self, subject: Subject) -> Finding:
        model, how, batches = subject.model, self.how, subject.batches(self.rows, PIECE)
        if not model.abilities.density:
            raise CompositionError(
                "an autoencoder's code is a point, whose rate is infinite; train with --posterior gaussian --objective "
                "elbo"
            )
        check_real(model)
        path = path_to(model, batches.fixed(), self.betas, how.temperatures, subject.seed)
        walked = subject.paced(batches.fixed(), len(batches))
        curve = rate_distortion_curve(model, walked, path, chains=how.chains, leapfrog=how.leapfrog, seed=subject.seed)
        return self._finding(subject, curve, *encoder_point(model, batches.fixed(), subject.seed))

    def _finding(self, subject: Subject, curve: Curve, distortion: Tensor, rates: Tensor) -> Finding:
        n = len(rates)
        title = f"{subject.split}: rate and distortion, {n} {'row' if n == 1 else 'rows'}, nats per datum"
        d, r = curve.distortion.mean(1).tolist(), curve.rate.mean(1).tolist()
        errors = curve.errors
        encoder = float(distortion.mean()), float(rates.mean())
        least = curve.rate_at(encoder[0])
        effective = curve.effective.mean(1).tolist()
        rows: list[list[Cell]] = [
            [
                f"curve at beta = {beta:g}" if j else "prior, beta = 0",
                d[j],
                r[j],
                d[j] + r[j],
                errors["height"][j],
                effective[j],
            ]
            for j, beta in enumerate(curve.betas)
        ]
        rows.append(["encoder", *encoder, sum(encoder), None, None])
        figures = {
            "n": n,
            "betas": list(curve.betas),
            "distortion": d,
            "rate": r,
            "standard_error": [[finite(standard_error(row)) for row in of] for of in (curve.distortion, curve.rate)],
            "monte_carlo_error": errors,
            "effective_chains": effective,
            "chains": self.how.chains,
            "acceptance": curve.acceptance,
            "encoder": {"distortion": encoder[0], "rate": encoder[1], "bound": -sum(encoder)},
            "rate_at_encoder": least,
        }
        # The prior's distortion can be so large that the rest of the curve would be a point.
        is_near = d[0] - d[1] < FAR * (d[1] - d[-1])
        first = 0 if is_near or encoder[0] > d[1] else 1
        ends = f"from beta = {curve.betas[first]:g} to {curve.betas[-1]:g}"
        chart = Chart(
            "lines",
            "distortion (nats)",
            "rate (nats)",
            {"best q (upper bound)": list(zip(d, r, strict=True))[first:], "encoder": [encoder]},
            words=f"{title}: the curve of the best q {ends}, and the encoder at ({encoder[0]:.1f}, {encoder[1]:.1f})",
        )
        columns = ("", "distortion", "rate", "sum", "Monte Carlo error", "effective chains")
        return Finding(title, figures, columns, rows, self._notes(curve, encoder, least), (chart,))

    def _notes(self, curve: Curve, encoder: tuple[float, float], least: float | None) -> tuple[str, ...]:
        one = curve.betas.index(1.0)
        total = float((curve.distortion[one] + curve.rate[one]).mean())
        notes = [
            f"the encoder's sum is minus its bound ({-sum(encoder):.2f}); that of the curve at beta = 1, the least of "
            f"all, is minus log p(x) ({-total:.2f}); the curve is an upper bound: no more rate is needed"
        ]
        if least is None:
            more = "+".join(f"{beta:g}" for beta in (*curve.betas[1:], 10 * curve.betas[-1]))
            notes.append(
                f"the encoder's distortion is less than that of all points: more of them, rate-distortion:betas={more}"
            )
        elif least < encoder[1]:
            notes.append(
                f"for the encoder's distortion a rate of {least:.2f} nats is enough, where the encoder takes "
                f"{encoder[1]:.2f}"
            )
        else:
            notes.append("the encoder takes no more than the curve's upper bound at its distortion: it is as good")
        loose = [beta for j, beta in enumerate(curve.betas) if float(curve.effective[j].mean()) < FEW * self.how.chains]
        if loose and self.how.chains > 1:
            notes.append(
                f"few chains carry the weight from beta = {loose[0]:g} on: the curve is loose there; take more "
                f"(rate-distortion:temperatures={4 * self.how.temperatures})"
            )
        return tuple(notes)
