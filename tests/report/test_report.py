"""The whole page: complete, self-contained, safe and repeatable."""

from __future__ import annotations

import math
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nelbo.errors import RunError, StorageError
from nelbo.report import write_report
from nelbo.report.html import element
from nelbo.runs import Run, reopen
from report.runs import evaluation, fitted

VOID = {"meta", "img", "br", "link"}
SECTIONS = ["data", "training", "reconstructions", "samples", "map", "rates", "likelihood", "configuration"]


class Page(HTMLParser):
    """Reads a page, and insists that its elements are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.source = text
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def page(run: Run) -> Page:
    text = write_report(run).read_text()
    assert len(text) < 3_000_000
    return Page(text)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fitted(tmp_path_factory.mktemp("digits") / "run", source="digits")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("table")
    names = ['"a <script>alert(1)</script>"', '"b & $\\frac{1}{2}$"', "c'", "constant", "kind <i>"]
    random = np.random.default_rng(0)
    lines = [",".join(names)]
    lines += [
        ",".join([*(f"{v:.4f}" for v in random.normal(size=3)), "1.5", ("<b>x</b>", "y & $z$", "日本")[i % 3]])
        for i in range(150)
    ]
    source = folder / "odd <b>&$x$.csv"
    source.write_text("\n".join(lines))
    return fitted(folder / "run", source=str(source), label="kind <i>")


@pytest.fixture(scope="module")
def digits_page(digits: Run) -> Page:
    return page(digits)


@pytest.fixture(scope="module")
def table_page(table: Run) -> Page:
    return page(table)


def test_images_show_every_section_in_order(digits_page: Page) -> None:
    found = digits_page
    anchors = [attributes["id"] for attributes in found.of("section")]
    assert anchors == [*SECTIONS[:5], "traversals", *SECTIONS[5:]]
    assert len(found.of("img")) >= 1 + 2 + 2 + 3  # examples, two bands of pairs, means and draws, a walk per latent


def test_tables_show_every_section_but_walks(table_page: Page) -> None:
    assert [attributes["id"] for attributes in table_page.of("section")] == SECTIONS


def test_the_verdict_comes_first(digits_page: Page) -> None:
    anchors = [attributes.get("id") for _, attributes in digits_page.tags]
    assert anchors.index("verdict") < anchors.index("data")


def test_nothing_is_fetched_and_nothing_is_run(digits_page: Page, table_page: Page) -> None:
    for found in (digits_page, table_page):
        assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in found.tags}
        assert "http" not in found.source
        assert not re.search(r"url\((?!#)", found.source)
        assert "@import" not in found.source
        assert all((attributes["src"] or "").startswith("data:image/png;base64,") for attributes in found.of("img"))
        assert not any(name.startswith("on") for _, attributes in found.tags for name in attributes)


def test_every_picture_says_in_words_what_it_shows(digits_page: Page, table_page: Page) -> None:
    for found in (digits_page, table_page):
        assert all(attributes["alt"] for attributes in found.of("img"))
        assert all(attributes["role"] == "img" and attributes["aria-label"] for attributes in found.of("svg"))


def test_every_link_has_its_target(digits_page: Page) -> None:
    targets = {f"#{attributes['id']}" for _, attributes in digits_page.tags if "id" in attributes}
    assert {attributes["href"] for attributes in digits_page.of("a")} <= targets
    assert {attributes["href"] for attributes in digits_page.of("use")} <= targets


def test_charts_take_every_colour_from_the_page(digits_page: Page, table_page: Page) -> None:
    for found in (digits_page, table_page):
        body = found.source[found.source.index("<body>") :]
        assert not re.search(r"(?:fill|stroke): #", body)


def test_names_of_the_users_are_text_and_nothing_else(table_page: Page) -> None:
    for name in ("a <script>alert(1)</script>", "odd <b>&$x$", "y & $z$", "日本"):
        assert name in table_page.text


def test_figures_of_the_evaluation_are_on_the_page(digits: Run, digits_page: Page) -> None:
    figures = digits.evaluation()
    assert figures is not None
    assert f"{-figures['log_likelihood']:.2f}" in digits_page.text
    assert figures["reference_measure"] in digits_page.text
    for each in figures["baselines"]:
        assert each["name"] in digits_page.text


def test_baselines_of_another_measure_are_marked(digits: Run) -> None:
    kept = digits.evaluation()
    figures = evaluation()
    figures["baselines"][1] |= {
        "reference_measure": "Lebesgue density in the data's own units",
        "log_likelihood": 999.0,
    }
    digits.write_evaluation(figures)
    text = page(digits).text
    assert kept is not None
    digits.write_evaluation(kept)
    assert text.count("not comparable") == 1


def test_the_same_run_gives_the_same_bytes_and_leaves_torch_alone(digits: Run, digits_page: Page) -> None:
    torch.rand(3)
    before = torch.get_rng_state()
    assert write_report(digits, reopen(digits)).read_text() == digits_page.source
    assert torch.equal(torch.get_rng_state(), before)


def test_figures_that_do_not_exist_are_survived(digits: Run) -> None:
    kept = digits.evaluation()
    assert kept is not None
    digits.write_evaluation({name: _emptied(value) for name, value in kept.items()})
    text = page(digits).text
    digits.write_evaluation(kept)
    assert "this model, log-likelihood" in text
    assert not math.isnan(kept["bound"])


def _emptied(value: Any) -> Any:
    """Floats to null, containers to empty ones, what must be there as it is."""
    if isinstance(value, float):
        return None
    return {} if isinstance(value, dict) else value


@pytest.mark.parametrize(
    ("shape", "recipe", "latent"),
    [((8, 8, 3), "vae", 2), ((20, 28), "conv-vae", 1), ((1,), "vae", 2), ((120,), "vae", 3)],
)
def test_every_shape_of_data_and_latent_space_is_served(
    tmp_path: Path, shape: tuple[int, ...], recipe: str, latent: int
) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(40, *shape)) if len(shape) == 1 else random.integers(0, 256, (40, *shape))
    source = tmp_path / "rows.npy"
    np.save(source, x.astype(np.float32 if len(shape) == 1 else np.uint8))
    small: dict[str, Any] = {"epochs": 1, "batch_size": 16, "recipe": recipe, "latent": latent}
    assert page(fitted(tmp_path / "run", samples=0, source=str(source), **small)).of("section")


@pytest.mark.parametrize(
    ("objective", "weights", "warmup"),
    [
        ("factor:hidden=8", ["beta, of 1"], "linear:0.5"),
        ("capacity:nats=3", ["capacity, of 3"], "linear:0.5"),
        ("beta-tc", ["alpha, of 1", "beta, of 6", "gamma, of 1"], "none"),
        ("mmd", [], "none"),
    ],
)
def test_objectives_with_penalties_and_phases_are_reported(
    tmp_path: Path, objective: str, weights: list[str], warmup: str
) -> None:
    found = page(fitted(tmp_path / "run", samples=0, objective=objective, warmup=warmup))
    assert f"What was minimised is another objective, {objective}." in found.text
    assert f"Trained with the objective {objective}" in found.text
    shown = [text for text in re.findall(r"[a-z]+(?: [a-z]+)?, of [\d.]+", found.source) if "rate" not in text]
    assert sorted({text.strip() for text in shown}) == weights
    assert not re.search(r"\bnan\b", found.source, re.IGNORECASE)


def test_a_constant_column_is_left_out_of_the_reconstructions(table_page: Page) -> None:
    assert "1 column constant over the test rows is left out" in table_page.text


def test_a_run_without_a_model_is_refused(digits: Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not a run"):
        write_report(Run(tmp_path / "nothing"))
    unfinished = Run(tmp_path / "unfinished")
    unfinished.write_config(digits.config())
    with pytest.raises(RunError, match="holds no trained model yet"):
        write_report(unfinished)


def test_a_report_that_cannot_be_written_leaves_the_old_one(digits: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    digits.report_file.write_text("the old one")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        write_report(digits)
    assert digits.report_file.read_text() == "the old one"
    assert not list(digits.folder.glob(".*tmp*"))


def test_what_is_text_is_escaped_once_and_what_is_markup_never_again() -> None:
    inner = element("b", "1 < 2 & 3", title='"x"')
    assert element("p", inner) == '<p><b title="&quot;x&quot;">1 &lt; 2 &amp; 3</b></p>'


@pytest.mark.data
def test_a_report_on_real_images_is_small(tmp_path: Path) -> None:
    assert os.environ["NELBO_DATA"]
    run = fitted(tmp_path / "run", samples=2, source="frey-faces", epochs=1)
    assert "frames of a film" in page(run).text
