"""The latent space: a map, walks along single latents, and what each latent carries."""

from __future__ import annotations

from nelbo.doctor.wording import count, nats
from nelbo.models.activity import ACTIVE
from nelbo.report.charts import rate_bars
from nelbo.report.html import Markup, element, figure, join, section
from nelbo.report.maps import latent_map, project
from nelbo.report.pictures import as_image, strip
from nelbo.report.subject import Subject

__all__ = ["latent_space", "rates", "traversals"]

WALKS = 6
FEW, MANY = 7, 11  # steps of a walk over large and over small images
LARGE = 48  # pixels
MOST_BARS = 80
FAINT = 0.1  # nats


def latent_space(subject: Subject) -> Markup:
    """Where test rows lie, coloured by label where there is one."""
    encoded = subject.encoded
    projection = project(encoded, subject.views.has_standard_prior)
    total = len(subject.job.split.test)
    shown = (
        f"{len(encoded.mean):,} of {total:,} test {subject.rows}"
        if len(encoded.mean) < total
        else (f"The {total:,} test {subject.rows}")
    )
    words = [f"{shown}.", projection.words]
    if encoded.label is not None:
        told = subject.spec.condition == "label"
        used = (
            "The model is told the label, so that z need not carry it" if told else "Labels were not used in training"
        )
        words.append(f"{used}; names stand at the median of their class.")
    if projection.shows_prior:
        words.append("The dashed circle holds 86 % of the prior.")
    chart = latent_map(projection, encoded.label, subject.raw_spec.label_names or ())
    return section("map", "Map of the latent space", figure(chart, " ".join(words)))


def traversals(subject: Subject) -> Markup:
    """One test image as each of the most active latents moves; images only."""
    if subject.display is None:
        return Markup("")
    mean = subject.encoded.mean
    start = mean[len(mean) // 2]
    given = None if subject.encoded.context is None else subject.encoded.context[len(mean) // 2]
    steps = FEW if max(subject.raw_spec.event_shape[-2:]) > LARGE else MANY
    walks, reach = subject.views.walks(subject.encoded, steps)
    lines = []
    for latent in subject.encoded.by_activity[:WALKS].tolist():
        images = subject.views.traverse(start, latent, walks[:, latent], given)
        picture = as_image(strip(subject.display.thumbnails(images)), f"Decoded images as latent {latent + 1} moves")
        carried = "" if subject.encoded.kl is None else f"{nats(float(subject.encoded.kl[latent]))} nats"
        lines += [element("p", join((f"latent {latent + 1}", carried), Markup("<br>")), class_="strip-label"), picture]
    caption = (
        f"One test image, decoded as one latent goes {reach} while the others stay. A latent that changes nothing "
        "carries nothing."
    )
    return section(
        "traversals", "Walks along the most active latents", figure(element("div", lines, class_="strips"), caption)
    )


def rates(subject: Subject) -> Markup:
    """KL of each latent, sorted, and which are active."""
    figures = subject.evaluation or {}
    kl = figures.get("kl_per_latent") or (None if subject.encoded.kl is None else subject.encoded.kl.tolist())
    spread = [float(v) for v in figures.get("variance_of_means") or subject.encoded.variance_of_means.tolist()]
    is_active = [value > ACTIVE for value in spread]
    active = sum(is_active)
    verb = "is" if active == 1 else "are"
    head = (
        f"{active} of {count(len(is_active), 'latent')} {verb} active: the variance of the posterior mean over data is "
        f"above {ACTIVE}."
    )
    if kl is None:
        return section("rates", "What each latent carries", element("p", head + " Their KL has no closed form here."))
    faint = sum(float(value) < FAINT for value in kl)
    caption = (
        f"Mean KL of each latent over test {subject.rows}, {nats(sum(map(float, kl)))} nats in all; "
        "active ones in colour."
    )
    if faint:
        caption += f" {faint} of {len(kl)} carry less than {FAINT} nats."
    if len(kl) > MOST_BARS:
        caption += f" The first {MOST_BARS} are shown."
    bars = rate_bars([float(value) for value in kl], is_active, MOST_BARS)
    return section("rates", "What each latent carries", element("p", head), figure(bars, caption))
