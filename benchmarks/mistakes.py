"""Planted mistakes: mathematics made wrong on purpose, one line at a time; the tests have to fail for each.

    python benchmarks/mistakes.py [NAME ...] [--record]

The source and the tests are copied to a folder of their own, one line is changed there, and the tests of that room run
until the first failure. A mistake that the tests let pass is printed and makes the exit status 1. Before that, the
same tests have to pass on the source as it is.
"""

from __future__ import annotations

import argparse
import datetime
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
PAGE = HOME / "docs" / "mistakes.md"


@dataclass(frozen=True)
class Mistake:
    """One line of `file` made wrong; `tests` have to notice."""

    name: str
    file: str
    right: str
    wrong: str
    tests: str


MISTAKES = (
    Mistake(
        "KL to the standard normal without its minus one",
        "distributions/kl.py",
        ".sub_(1.0).mul_(0.5)",
        ".mul_(0.5)",
        "distributions/test_kl.py",
    ),
    Mistake(
        "KL without the factor one half",
        "distributions/kl.py",
        ".sub_(1.0).mul_(0.5)",
        ".sub_(1.0)",
        "distributions/test_kl.py",
    ),
    Mistake(
        "KL between diagonal normals in the wrong direction",
        "distributions/kl.py",
        "gap = q.log_variance - p.log_variance",
        "gap = p.log_variance - q.log_variance",
        "distributions/test_kl.py",
    ),
    Mistake(
        "KL of a full covariance without its log-determinant",
        "distributions/kl.py",
        "(0.5 * squares - q.log_diagonal)",
        "(0.5 * squares)",
        "distributions/test_full_normal.py distributions/test_kl.py",
    ),
    Mistake(
        "full-covariance density without its log-determinant",
        "distributions/full_normal.py",
        "-0.5 * squares - self.log_diagonal.sum(-1) - ",
        "-0.5 * squares - ",
        "distributions/test_full_normal.py",
    ),
    Mistake(
        "a flow that adds its log-determinants",
        "distributions/flows.py",
        "return z, self.base.log_prob(e) - ladj",
        "return z, self.base.log_prob(e) + ladj",
        "posteriors/test_flows.py",
    ),
    Mistake(
        "a flow whose inverse density forgets the log-determinants",
        "distributions/flows.py",
        "return self.base.log_prob(value) + total",
        "return self.base.log_prob(value)",
        "posteriors/test_flows.py",
    ),
    Mistake(
        "a mixture without its weights",
        "distributions/mixture.py",
        "constant = self.log_weights - 0.5 *",
        "constant = -0.5 *",
        "distributions/test_mixture.py",
    ),
    Mistake(
        "a mixture normalised over all dimensions but one",
        "distributions/mixture.py",
        "self.event_shape[0] * HALF_LOG_2PI",
        "(self.event_shape[0] - 1) * HALF_LOG_2PI",
        "distributions/test_mixture.py",
    ),
    Mistake(
        "Kumaraswamy with its two shapes swapped in the draw",
        "distributions/kumaraswamy.py",
        "torch.exp(-self.log_b)  # log u^(1/b)",
        "torch.exp(-self.log_a)",
        "distributions/test_kumaraswamy.py",
    ),
    Mistake(
        "Student's t without the scale's log",
        "distributions/student.py",
        "constant.to(t.dtype) - self.log_scale - 0.5",
        "constant.to(t.dtype) - 0.5",
        "distributions/test_counts_and_levels.py",
    ),
    Mistake(
        "negative binomial without the number of ways",
        "distributions/negative_binomial.py",
        "torch.lgamma(x + r) - torch.lgamma(r) - torch.lgamma(x + 1)",
        "torch.lgamma(x + r) - torch.lgamma(r)",
        "distributions/test_counts_and_levels.py",
    ),
    Mistake(
        "mixture of logistics averaged instead of summed",
        "distributions/logistic_mixture.py",
        "return torch.logsumexp(self.log_weights + self.components.log_prob(value.unsqueeze(-1)), -1)",
        "return (self.log_weights + self.components.log_prob(value.unsqueeze(-1))).mean(-1)",
        "distributions/test_counts_and_levels.py",
    ),
    Mistake(
        "a discretised logistic with closed end bins",
        "distributions/discretized_logistic.py",
        "torch.where(value <= 0, below,",
        "torch.where(value < 0, below,",
        "distributions/test_discretized_logistic.py",
    ),
    Mistake(
        "blue that does not see green",
        "distributions/coupled_colours.py",
        "first = channel * (channel - 1) // 2",
        "first = 0 * channel",
        "distributions/test_coupled_colours.py",
    ),
    Mistake(
        "continuous Bernoulli without its normaliser",
        "distributions/continuous_bernoulli.py",
        "- F.softplus(self.logits) + self.log_normaliser()",
        "- F.softplus(self.logits)",
        "distributions/test_continuous_bernoulli.py",
    ),
    Mistake(
        "the log-Jacobian of the logarithm with the wrong sign",
        "data/transforms.py",
        "return -y\n\n    def inverse(self, x: Tensor) -> Tensor:\n        return x.exp()",
        "return y\n\n    def inverse(self, x: Tensor) -> Tensor:\n        return x.exp()",
        "data/test_transforms.py",
    ),
    Mistake(
        "the log-Jacobian left out of the likelihood",
        "core/batch.py",
        "log_prob = log_prob + batch.log_jacobian",
        "log_prob = log_prob",
        "likelihoods/test_log_px.py",
    ),
    Mistake(
        "pixels averaged instead of summed",
        "core/batch.py",
        "return log_prob.flatten(-cell_dims).sum(-1)",
        "return log_prob.flatten(-cell_dims).mean(-1)",
        "likelihoods/test_log_px.py",
    ),
    Mistake(
        "the importance-weighted bound without its 1/K",
        "objectives/bounds.py",
        "return torch.logsumexp(log_w, 0) - math.log(log_w.shape[0])",
        "return torch.logsumexp(log_w, 0)",
        "objectives/test_bounds.py",
    ),
    Mistake(
        "log weights that forget the prior",
        "core/terms.py",
        "return self.log_px + self.log_pz_given - self.log_qz_given",
        "return self.log_px - self.log_qz_given",
        "models",
    ),
    Mistake(
        "draws that are enumerated counted as if they were drawn",
        "core/terms.py",
        "return (self.log_r.exp() * values).sum(0)",
        "return values.mean(0)",
        "objectives/test_enumerated.py",
    ),
    Mistake(
        "a bound without the KL of what all rows share",
        "core/terms.py",
        "bound = None if bound is None else bound - self.shared",
        "bound = bound",
        "objectives/test_enumerated.py",
    ),
    Mistake(
        "a loss that drops the model's penalties",
        "core/terms.py",
        "every = {**parts, **self.penalties}",
        "every = dict(parts)",
        "objectives",
    ),
    Mistake(
        "beta in the reported bound",
        "objectives/elbo.py",
        "terms.loss(parts, log_px - kl, {",
        "terms.loss(parts, log_px - parts['kl'], {",
        "objectives/test_elbo.py",
    ),
    Mistake(
        "a VampPrior whose components are not weighted equally",
        "priors/vamp.py",
        "equal = q.loc.new_full((self.components,), -math.log(self.components))",
        "equal = q.loc[:, 0]",
        "priors/test_vamp.py",
    ),
    Mistake(
        "sticks broken from the wrong end",
        "priors/sticks.py",
        "before = torch.cat([torch.zeros_like(left[..., :1]), left[..., :-1]], -1)",
        "before = left",
        "priors",
    ),
    Mistake(
        "a control variate that forgets the density it takes away",
        "distributions/kl.py",
        "of_base.sum(0) + p.log_prob(e) - p.log_prob(z) - ladj",
        "of_base.sum(0) - p.log_prob(z) - ladj",
        "posteriors/test_flows.py",
    ),
    Mistake(
        "sticks whose KL has the mean of log v for that of log(1 - v)",
        "distributions/kl.py",
        "(d - 1) * q.mean_log1m()",
        "(d - 1) * q.mean_log()",
        "distributions/test_kl.py",
    ),
    Mistake(
        "a doubly reparameterised gradient whose weights are not squared",
        "objectives/gradients.py",
        "share = (1 - rise).unsqueeze(-1)",
        "share = 0 * rise.unsqueeze(-1) + 1",
        "objectives/test_gradients.py",
    ),
    Mistake(
        "a baseline that reads the draw it is subtracted from",
        "objectives/score.py",
        "others = (constant.sum(0) - constant) / (draws - 1)",
        "others = constant.mean(0).expand_as(constant)",
        "objectives/test_gradients.py",
    ),
    Mistake(
        "a Renyi bound without its 1 / (1 - alpha)",
        "objectives/bounds.py",
        "return log_mean_exp(power * log_w, log_r) / power",
        "return log_mean_exp(power * log_w, log_r)",
        "objectives/test_bounds.py",
    ),
    Mistake(
        "a Hamiltonian transition that accepts without the kinetic energy",
        "samplers/hamiltonian.py",
        " - 0.5 * (v.square() - noise.square()).sum(-1)",
        "",
        "evaluate/test_annealing.py",
    ),
    Mistake(
        "annealing that weighs a chain after its move",
        "evaluate/annealing.py",
        "log_w += (schedule[t] - schedule[t - 1]) * (point.last - point.first).double()\n"
        "        point, share = transition(target, point, schedule[t], steps[t - 1], how.leapfrog, generator)",
        "point, share = transition(target, point, schedule[t], steps[t - 1], how.leapfrog, generator)\n"
        "        log_w += (schedule[t] - schedule[t - 1]) * (point.last - point.first).double()",
        "evaluate/test_annealing.py",
    ),
    Mistake(
        "an estimate that averages log weights",
        "evaluate/likelihood.py",
        "logs.append(normaliser - math.log(samples))",
        "logs.append(log_w.mean(0))",
        "evaluate test_exact.py",
    ),
    Mistake(
        "a penalty of the total correlation without the shares of the training rows",
        "objectives/total_correlation.py",
        "joint = torch.logsumexp(cells.sum(-1) + share, 2)",
        "joint = torch.logsumexp(cells.sum(-1), 2)",
        "objectives/test_total_correlation.py",
    ),
    Mistake(
        "a total correlation with mutual information in its place",
        "objectives/total_correlation.py",
        "(terms.log_qz - joint, joint - product, product - terms.log_pz)",
        "(joint - product, terms.log_qz - joint, product - terms.log_pz)",
        "objectives/test_total_correlation.py",
    ),
    Mistake(
        "free bits as a ceiling",
        "objectives/regularisers.py",
        "mean.clamp(min=self.nats).sum()",
        "mean.clamp(max=self.nats).sum()",
        "objectives/test_regularisers.py",
    ),
    Mistake(
        "a discriminator told the wrong way round",
        "objectives/factor.py",
        "F.softplus(-of_codes) + F.softplus(of_shuffled)",
        "F.softplus(of_codes) + F.softplus(-of_shuffled)",
        "objectives/test_factor.py",
    ),
    Mistake(
        "DIP-VAE with the diagonal among what is apart",
        "objectives/covariance.py",
        "apart = covariance.square().sum() - diagonal.square().sum()",
        "apart = covariance.square().sum()",
        "objectives/test_covariance.py",
    ),
    Mistake(
        "a discrepancy of means that counts a point with itself",
        "objectives/discrepancy.py",
        "total = h.sum() - h.diagonal(dim1=1, dim2=2).sum()",
        "total = h.sum()",
        "objectives/test_discrepancy.py",
    ),
    Mistake(
        "a wake phase that trains the recognition model too",
        "objectives/wake_sleep.py",
        "kl = terms.mean(terms.log_qz_given.detach() - terms.log_pz_given)",
        "kl = terms.mean(terms.log_qz_given - terms.log_pz_given)",
        "objectives/test_wake_sleep.py",
    ),
    Mistake(
        "dreams of the data instead of the model's",
        "objectives/wake_sleep.py",
        "x = model.decode(z, context).sample()",
        "x = batch.x.repeat(samples, *[1] * (batch.x.dim() - 1))",
        "objectives/test_wake_sleep.py",
    ),
)


def main() -> int:
    """Plant each mistake and say which survive."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="words of the mistakes to plant [all]")
    parser.add_argument("--record", action="store_true", help="write docs/mistakes.md")
    given = parser.parse_args()
    chosen = [m for m in MISTAKES if not given.names or any(word in m.name for word in given.names)]
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place)
        for folder in ("src", "tests", "benchmarks", "docs"):
            shutil.copytree(HOME / folder, copy / folder, ignore=shutil.ignore_patterns(".*", "__pycache__"))
        shutil.copy(HOME / "pyproject.toml", copy)
        right = sorted({path for mistake in chosen for path in mistake.tests.split()})
        print(f"the source as it is, {len(right)} test files: ", end="", flush=True)
        failure = _first_failure(copy, right)
        print(failure or "passes", flush=True)
        if failure:
            return 1
        caught = {mistake: _planted(copy, mistake) for mistake in chosen}
    survivors = [mistake for mistake, by in caught.items() if not by]
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} mistakes caught")
    if given.record and not given.names and not survivors:
        PAGE.write_text(_page(caught))
        print(PAGE)
    return 1 if survivors else 0


def _planted(copy: Path, mistake: Mistake) -> str:
    file = copy / "src" / "nelbo" / mistake.file
    source = file.read_text()
    if source.count(mistake.right) != 1:
        raise SystemExit(f"{mistake.name}: the line occurs {source.count(mistake.right)} times in {mistake.file}")
    file.write_text(source.replace(mistake.right, mistake.wrong))
    try:
        by = _first_failure(copy, mistake.tests.split())
    finally:
        file.write_text(source)
    print(f"{mistake.name}: {'caught by ' + by if by else 'NOT CAUGHT'}", flush=True)
    return by


def _first_failure(copy: Path, tests: list[str]) -> str:
    """The first test that fails, empty if all pass."""
    environment = {**os.environ, "PYTHONPATH": str(copy / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        *(f"tests/{path}" for path in tests),
    ]
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return ""
    found = re.search(r"^(?:FAILED|ERROR) tests/(\S+)", done.stdout, re.MULTILINE)
    if found is None:
        raise SystemExit(done.stdout[-2_000:] + done.stderr[-2_000:])
    return found.group(1).partition("[")[0]


def _page(caught: dict[Mistake, str]) -> str:
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    lines = [
        "# Planted mistakes",
        "",
        "Generated by `python benchmarks/mistakes.py --record`; do not edit by hand. Each line of mathematics was made",
        f"wrong on its own; the test named beside it failed first. {len(caught)} of {len(caught)} caught, {today}.",
        "",
        "| mistake | file | caught by |",
        "|---|---|---|",
    ]
    lines += [f"| {mistake.name} | `{mistake.file}` | `{by}` |" for mistake, by in caught.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
