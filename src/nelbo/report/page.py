"""The page: the verdict first, then what it rests on."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from string import Template

from nelbo.doctor import Finding
from nelbo.doctor.wording import count
from nelbo.report import sections
from nelbo.report.html import Markup, commands, element, escaped, join
from nelbo.report.subject import Subject
from nelbo.report.verdict import Grade, Verdict

__all__ = ["render"]

Section = Callable[[Subject], Markup]

PARTS: tuple[tuple[str, str, Section], ...] = (
    ("data", "Data", sections.data),
    ("training", "Training", sections.training),
    ("reconstructions", "Reconstructions", sections.reconstructions),
    ("samples", "Samples", sections.samples),
    ("map", "Latent map", sections.latent_space),
    ("traversals", "Walks", sections.traversals),
    ("rates", "Rates", sections.rates),
    ("likelihood", "Likelihood", sections.likelihood),
    ("measures", "Measures", sections.measures),
    ("configuration", "Configuration", sections.configuration),
)


def render(subject: Subject, verdict: Verdict) -> str:
    """One self-contained HTML page: nothing is fetched, nothing is run."""
    parts = [(anchor, name, make(subject)) for anchor, name, make in PARTS]
    links = [element("a", name, href=f"#{anchor}") for anchor, name, part in parts if part]
    settings = subject.job.settings
    subtitle = (
        f"{settings.recipe}, {count(settings.latent, 'latent')}, likelihood {settings.likelihood}, network "
        f"{settings.network}; run {subject.folder}"
    )
    template = Template(files("nelbo.report").joinpath("page.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=escaped(f"{subject.spec.name}: nelbo report"),
        style=files("nelbo.report").joinpath("style.css").read_text(encoding="utf-8"),
        heading=element("h1", subject.spec.name),
        subtitle=element("p", subtitle, class_="sub"),
        verdict=_verdict(verdict),
        navigation=element("nav", links, aria_label="Contents"),
        body=join(part for _, _, part in parts),
        footer=element("footer", f"Written by nelbo {_version(subject)}. All likelihoods are in nats per datum."),
    )


def _verdict(verdict: Verdict) -> Markup:
    name = "unmeasured" if verdict.grade is Grade.UNMEASURED else verdict.grade.value
    content: list[Markup] = [
        element("span", verdict.grade.value, class_="tag"),
        element("h2", f"{verdict.headline}."),
        *(element("p", sentence) for sentence in verdict.sentences),
    ]
    if verdict.findings:
        content.append(element("h3", "What the doctor found"))
        content.append(element("ol", [_finding(found, verdict) for found in verdict.findings], class_="findings"))
    told = {found.text for found in verdict.findings}
    remarks = [element("li", remark) for remark in verdict.remarks if remark not in told]
    if remarks:
        content.append(element("ul", remarks))
    mended = {found.remedy for found in verdict.findings if found.remedy}
    steps = [step for step in verdict.next_steps if step.command not in mended]
    if steps:
        content.append(element("h3", "What else to try" if mended else "What to try next"))
        items = [element("li", [step.why, commands(step.command) if step.command else ""]) for step in steps]
        content.append(element("ol", items, class_="steps"))
    return element("div", content, class_=f"verdict {name}", id="verdict")


def _finding(found: Finding, verdict: Verdict) -> Markup:
    """Title, evidence where it is not told above, reason, what mends it and its command."""
    evidence = "" if found.text in verdict.sentences else f" {found.text}"
    shown: list[Markup | str] = [element("strong", f"{found.entry.title}."), f"{evidence} {found.entry.reason}"]
    for step in [step for step in found.steps if step.command][:1]:
        shown += [f" {step.why}", commands(step.command)]
    return element("li", shown)


def _version(subject: Subject) -> str:
    return str(subject.config.get("versions", {}).get("nelbo", ""))
