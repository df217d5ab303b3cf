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
from report.runs import evaluation, fitted

from nelbo.errors import RunError, StorageError
from nelbo.report import write_report
from nelbo.report.html import element
from nelbo.run import Run, reopen

VOID = {"meta", "img", "br", "link"}
SECTIONS = ["data", "training", "reconstructions", "samples", "map", "rates", "likelihood", "configuration"]


class Page(HTMLParser):
    """Reads a page, and insists that its elements are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
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
    names = ['"a <script>alert(1)</script>"', '"b & $\\frac{1}{2}$"', "'\"c", "kind <i>"]
    random = np.random.default_rng(0)
    lines = [",".join(names).replace("'\"c", "c'")]
    lines += [
        ",".join([*(f"{v:.4f}" for v in random.normal(size=3)), ("<b>x</b>", "y & $z$", "日本")[i % 3]])
        for i in range(150)
    ]
    source = folder / "odd <b>&$x$.csv"
    source.write_text("\n".join(lines))
    return fitted(folder / "run", source=str(source), label="kind <i>")


def test_images_show_every_section_in_order(digits: Run) -> None:
    found = page(digits)
    anchors = [attributes["id"] for attributes in found.of("section")]
    assert anchors == [*SECTIONS[:5], "traversals", *SECTIONS[5:]]
    assert len(found.of("img")) >= 1 + 2 + 2 + 3  # examples, two bands of pairs, means and draws, a walk per latent


def test_tables_show_every_section_but_walks(table: Run) -> None:
    assert [attributes["id"] for attributes in page(table).of("section")] == SECTIONS


def test_the_verdict_comes_first(digits: Run) -> None:
    text = digits.report_file.read_text() if digits.report_file.exists() else write_report(digits).read_text()
    assert text.index('id="verdict"') < text.index("<section")


def test_nothing_is_fetched_and_nothing_is_run(digits: Run, table: Run) -> None:
    for run in (digits, table):
        found = page(run)
        text = run.report_file.read_text()
        assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in found.tags}
        assert "http" not in text
        assert not re.search(r"url\((?!#)", text)
        assert "@import" not in text
        for attributes in found.of("img"):
            assert (attributes["src"] or "").startswith("data:image/png;base64,")
        assert not any(name.startswith("on") for _, attributes in found.tags for name in attributes)


def test_every_picture_says_in_words_what_it_shows(digits: Run, table: Run) -> None:
    for run in (digits, table):
        found = page(run)
        assert all(attributes["alt"] for attributes in found.of("img"))
        assert all(attributes["role"] == "img" and attributes["aria-label"] for attributes in found.of("svg"))


def test_every_link_has_its_target(digits: Run) -> None:
    found = page(digits)
    targets = {f"#{attributes['id']}" for _, attributes in found.tags if "id" in attributes}
    assert {attributes["href"] for attributes in found.of("a")} <= targets
    assert {attributes["href"] for attributes in found.of("use")} <= targets


def test_names_of_the_users_are_text_and_nothing_else(table: Run) -> None:
    found = page(table)
    assert "a <script>alert(1)</script>" in found.text
    assert "odd <b>&$x$" in found.text
    assert "y & $z$" in found.text
    assert "日本" in found.text


def test_figures_of_the_evaluation_are_on_the_page(digits: Run) -> None:
    found, figures = page(digits), digits.evaluation()
    assert figures is not None
    assert f"{-figures['log_likelihood']:.2f}" in found.text
    assert figures["reference_measure"] in found.text
    for each in figures["baselines"]:
        assert each["name"] in found.text


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


def test_a_run_that_was_not_evaluated_says_how_to(tmp_path: Path) -> None:
    run = fitted(tmp_path / "run", samples=0, source="digits")
    text = page(run).text
    assert f"nelbo evaluate {tmp_path / 'run'}" in text
    assert "not been evaluated yet" in text


def test_the_same_run_gives_the_same_bytes_and_leaves_torch_alone(digits: Run) -> None:
    torch.rand(3)
    before = torch.get_rng_state()
    first = write_report(digits).read_bytes()
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    assert write_report(digits, reopen(digits)).read_bytes() == first


def test_metrics_that_are_missing_or_not_finite_are_survived(tmp_path: Path) -> None:
    run = fitted(tmp_path / "run", samples=0, source="digits")
    records = run.metrics_file.read_text().splitlines()
    run.metrics_file.write_text(records[0].replace('"bound": -', '"bound": NaN, "was": -') + "\n" + records[1])
    assert "Training" in page(run).text
    run.metrics_file.unlink()
    assert "no metrics" in page(run).text


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


@pytest.mark.parametrize("latent", [1, 2])
def test_one_and_two_latents_are_served(tmp_path: Path, latent: int) -> None:
    assert "There " in page(fitted(tmp_path / "run", samples=0, source="digits", latent=latent)).text


@pytest.mark.parametrize(
    ("shape", "recipe"),
    [((8, 8, 3), "vae"), ((20, 28), "conv-vae"), ((128, 96, 3), "conv-vae"), ((1,), "vae"), ((120,), "vae")],
)
def test_every_shape_of_data_is_served(tmp_path: Path, shape: tuple[int, ...], recipe: str) -> None:
    random = np.random.default_rng(0)
    rows = 40
    x = random.normal(size=(rows, *shape)) if len(shape) == 1 else random.integers(0, 256, (rows, *shape))
    source = tmp_path / "rows.npy"
    np.save(source, x.astype(np.float32 if len(shape) == 1 else np.uint8))
    small: dict[str, Any] = {"epochs": 1, "batch_size": 16}
    assert page(fitted(tmp_path / "run", samples=0, source=str(source), recipe=recipe, **small)).of("section")


def test_a_constant_column_is_survived(tmp_path: Path) -> None:
    source = tmp_path / "rows.csv"
    random = np.random.default_rng(0)
    source.write_text("a,b\n" + "".join(f"{value:.4f},1.5\n" for value in random.normal(size=60)))
    assert "constant over the test rows" in page(fitted(tmp_path / "run", samples=0, source=str(source))).text


def test_a_run_without_a_model_is_refused(digits: Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not a run"):
        write_report(Run(tmp_path / "nothing"))
    unfinished = Run(tmp_path / "unfinished")
    unfinished.write_config(digits.config())
    with pytest.raises(RunError, match="holds no trained model yet"):
        write_report(unfinished)


def test_a_report_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = fitted(tmp_path / "run", samples=0, source="digits")
    old = write_report(run).read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        write_report(run)
    assert run.report_file.read_bytes() == old
    assert not list(run.folder.glob("*.tmp*")) + list(run.folder.glob(".*tmp*"))


def test_what_is_text_is_escaped_once_and_what_is_markup_never_again() -> None:
    inner = element("b", "1 < 2 & 3", title='"x"')
    assert element("p", inner) == '<p><b title="&quot;x&quot;">1 &lt; 2 &amp; 3</b></p>'


@pytest.mark.data
def test_a_report_on_real_images_is_small(tmp_path: Path) -> None:
    assert os.environ["NELBO_DATA"]
    run = fitted(tmp_path / "run", samples=2, source="frey-faces", epochs=1)
    assert "frames of a film" in page(run).text
