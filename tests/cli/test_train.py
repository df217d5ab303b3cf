"""`nelbo train`: what it leaves behind, and what it refuses without leaving anything behind."""

from __future__ import annotations

import contextlib
import json
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .conftest import TINY, call, refuse, succeed, write_table

pytestmark = pytest.mark.usefixtures("_plain_report")

Made = Callable[[Path], Path]


def content_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_holds_all_that_was_promised(digits_run: Path) -> None:
    names = set(content_of(digits_run))
    assert {
        "config.json", "metrics.jsonl", "state.json", "model/config.json", "model/model.safetensors",
        "evaluation-test.json", "report.html",
    } <= names  # fmt: skip
    assert len([name for name in names if name.startswith("checkpoints/step-")]) in {1, 2}
    config = json.loads((digits_run / "config.json").read_text())
    assert config["settings"]["likelihood"] == "discretized-logistic"
    assert len((digits_run / "metrics.jsonl").read_text().splitlines()) == 2


def test_figures_go_to_standard_output_and_talk_to_standard_error() -> None:
    outcome = succeed("train", "digits", *TINY, "--run", "run", "--json")
    content = json.loads(outcome.out)
    assert content["run"] == "run"
    assert content["log_likelihood"] >= content["bound"]
    assert "kind levels" in outcome.err


def test_runs_without_a_name_are_numbered() -> None:
    for number in ("001", "002"):
        succeed("train", "digits", *TINY)
        assert (Path("runs") / number / "report.html").exists()


def test_a_dry_run_leaves_nothing() -> None:
    content = json.loads(succeed("train", "digits", *TINY, "--dry-run", "--json").out)
    # (64 + 1) 16 + (16 + 1) 4 for the encoder; (2 + 1) 16 + (16 + 1) 128 for the decoder
    assert content["parameters"] == 65 * 16 + 17 * 4 + 3 * 16 + 17 * 128
    assert not Path("runs").exists()


def test_settings_of_a_file_give_way_to_the_command_line() -> None:
    Path("my.toml").write_text('latent = 3\nhidden = [8]\nepochs = 1\nthreads = 1\nrecipe = "beta-vae"\n')
    succeed("train", "digits", "--config", "my.toml", "--latent", 2, "--run", "run")
    settings = json.loads(Path("run/config.json").read_text())["settings"]
    assert (settings["latent"], settings["hidden"], settings["beta"]) == (2, [8], 4.0)


def test_an_existing_run_is_refused_and_unchanged(copied: Path) -> None:
    before = content_of(copied)
    sentence = refuse("train", "digits", *TINY, "--run", copied)
    assert "--overwrite" in sentence
    assert "--resume" in sentence
    assert content_of(copied) == before


def test_overwriting_moves_the_old_run_aside(copied: Path) -> None:
    before = content_of(copied)
    succeed("train", "digits", *TINY, "--seed", 1, "--run", copied, "--overwrite")
    assert content_of(copied.with_name("copied.old-1")) == before
    assert json.loads((copied / "config.json").read_text())["settings"]["seed"] == 1


def test_resuming_nothing_is_refused() -> None:
    assert "no run to resume in nowhere" in refuse("train", "--resume", "--run", "nowhere")
    assert "--run" in refuse("train", "--resume")
    assert not Path("nowhere").exists()


def test_resuming_does_not_change_settings(copied: Path) -> None:
    assert "--latent cannot change" in refuse("train", "--resume", "--run", copied, "--latent", 5)


def test_resuming_a_complete_run_says_so(copied: Path) -> None:
    assert "complete already" in succeed("train", "--resume", "--run", copied).err


def test_ctrl_c_is_one_line_that_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nelbo.runs.train_run", interrupted)
    outcome = call("train", "digits", *TINY, "--run", "run")
    assert outcome.status == 130
    assert "nelbo train --resume run" in outcome.err
    assert "Traceback" not in outcome.err


def test_a_training_that_breaks_off_names_the_doctor() -> None:
    outcome = call("train", "digits", *TINY, "--lr", "1e9", "--run", "run")
    assert outcome.status == 2
    assert outcome.err.rstrip().endswith("for the cause: nelbo doctor run")
    found = call("doctor", "run")
    assert found.status == 3
    assert found.out.startswith("1. The learning rate is too high (fault, learning-rate-high)")


def test_ctrl_c_outside_training_is_one_line(digits_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nelbo.apps.sample", interrupted)
    outcome = call("sample", digits_run)
    assert outcome.status == 130
    assert outcome.err.strip() == "stopped"


def _missing(home: Path) -> Path:
    return home / "nowhere.csv"


def _empty(home: Path) -> Path:
    (home / "empty.csv").write_text("")
    return home / "empty.csv"


def _header_only(home: Path) -> Path:
    (home / "header.csv").write_text("a,b\n")
    return home / "header.csv"


def _ragged(home: Path) -> Path:
    (home / "ragged.csv").write_text("a,b\n1,2\n3,4,5\n6,7\n")
    return home / "ragged.csv"


def _words(home: Path) -> Path:
    (home / "words.csv").write_text("a,city\n1.5,Rome\n2.5,Oslo\n")
    return home / "words.csv"


def _hole(home: Path) -> Path:
    (home / "hole.csv").write_text("a,b\n1.5,2\nnan,3\n2.5,4\n")
    return home / "hole.csv"


def _infinite(home: Path) -> Path:
    (home / "infinite.csv").write_text("a,b\n1.5,2\n2.5,inf\n3.5,4\n")
    return home / "infinite.csv"


def _images(home: Path) -> Path:
    folder = home / "images"
    folder.mkdir()
    for number in range(4):
        Image.fromarray(np.full((8, 8), 40 * number, np.uint8)).save(folder / f"{number}.png")
    return folder


def _odd_size(home: Path) -> Path:
    folder = _images(home)
    Image.fromarray(np.zeros((9, 8), np.uint8)).save(folder / "odd.png")
    return folder


def _corrupt(home: Path) -> Path:
    folder = _images(home)
    whole = (folder / "0.png").read_bytes()
    (folder / "broken.png").write_bytes(whole[: len(whole) // 2])
    return folder


def _no_images(home: Path) -> Path:
    (home / "none").mkdir()
    return home / "none"


def _pickled(home: Path) -> Path:
    np.save(home / "objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return home / "objects.npy"


def _short_labels(home: Path) -> Path:
    np.savez(home / "short.npz", X=np.random.default_rng(0).normal(size=(30, 3)), who=np.arange(7))
    return home / "short.npz"


@pytest.mark.parametrize(
    ("made", "flags", "said"),
    [
        (_missing, (), ["there is no file or folder", "nowhere.csv"]),
        (_empty, (), ["empty.csv' is empty"]),
        (_header_only, (), ["header but no rows"]),
        (_ragged, (), ["line 3", "3 cells", "2"]),
        (_words, (), ["column 'city'", "'Rome'", "--drop city"]),
        (_hole, (), ["column 'a'", "line 3", "--drop a"]),
        (_infinite, (), ["column 'b'", "inf", "--drop b"]),
        (_odd_size, (), ["odd.png", "8 x 9", "8 x 8"]),
        (_corrupt, (), ["broken.png", "corrupt"]),
        (_no_images, (), ["holds no images"]),
        (_pickled, (), ["objects are never loaded"]),
        (_words, ("--label", "town"), ["'town'", "city"]),
        (_short_labels, ("--label", "who"), ["one label for each of the 30 rows", "7"]),
    ],
)
def test_bad_data_are_refused_and_nothing_is_left(
    tmp_path: Path, made: Made, flags: tuple[str, ...], said: list[str]
) -> None:
    sentence = refuse("train", made(tmp_path), *TINY, *flags)
    assert all(word in sentence for word in said), sentence
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--latent", 0), ["--latent", "0"]),
        (("--hidden", 0), ["0"]),
        (("--hidden", "wide"), ["--hidden wide", "512,256"]),
        (("--epochs", 0), ["--epochs", "0"]),
        (("--batch-size", 0), ["--batch-size", "0"]),
        (("--lr", 0), ["--lr", "0"]),
        (("--epochs", 2, "--steps", 5), ["--epochs", "--steps"]),
        (("--warmup", "linear:10epochs"), ["--warmup linear:10epochs", "train longer"]),
        (("--warmup", "liner:0.2"), ["did you mean 'linear'"]),
        (("--likelihood", "gausian"), ["did you mean 'gaussian'"]),
        (("--likelihood", "discretized-logistic:sigma=share"), ["did you mean 'shared'"]),
        (("--network", "mpl"), ["did you mean 'mlp'"]),
        (("--objective", "elbow"), ["did you mean 'elbo'"]),
        (("--optimizer", "adma"), ["did you mean 'adam'"]),
        (("--lr-schedule", "cosin"), ["did you mean 'cosine'"]),
        (("--recipe", "vea"), ["did you mean 'vae'"]),
        (("--split", "randm"), ["did you mean 'random'"]),
        (("--split", "group"), ["--group"]),
        (("--device", "toaster"), ["--device toaster", "--device cpu"]),
        (("--time-limit", "soon"), ["--time-limit soon", "10min"]),
        (("--kind", "byt"), ["did you mean 'byte'"]),
        (("--transform", "logit:sqeeze=0.1"), ["did you mean 'squeeze'"]),
        (("--label", "class"), ["digits", "leave --label out"]),
        (("--config", "nowhere.toml"), ["nowhere.toml"]),
    ],
)
def test_bad_settings_are_refused_and_nothing_is_left(flags: tuple[object, ...], said: list[str]) -> None:
    given = dict(zip(TINY[::2], TINY[1::2], strict=True)) | dict(zip(flags[::2], flags[1::2], strict=True))
    sentence = refuse("train", "digits", *(part for pair in given.items() for part in pair))
    assert all(word in sentence for word in said), sentence
    assert not Path("runs").exists()


def test_a_refused_training_does_not_move_the_old_run(copied: Path) -> None:
    before = content_of(copied)
    for flags in (("--optimizer", "adma"), ("--warmup", "linear:99epochs"), ("--likelihood", "bernoulli")):
        refuse("train", "digits", *TINY, *flags, "--run", copied, "--overwrite")
    assert content_of(copied) == before
    assert not copied.with_name("copied.old-1").exists()


def test_a_misspelt_data_set_gets_the_nearest() -> None:
    assert "did you mean 'digits'" in refuse("train", "digit")


def test_an_unknown_key_of_a_configuration_gets_the_nearest() -> None:
    Path("my.toml").write_text("latnet = 3\n")
    sentence = refuse("train", "digits", "--config", "my.toml")
    assert "'latnet'" in sentence
    assert "did you mean 'latent'" in sentence


def test_a_likelihood_that_does_not_fit_names_every_way_out() -> None:
    sentence = refuse("train", "digits", *TINY, "--likelihood", "bernoulli")
    assert sentence == (
        "likelihood 'bernoulli' needs binary data, but 'digits' holds 17 levels; "
        "use --likelihood discretized-logistic, or --binarize dynamic"
    )


@pytest.mark.data
def test_the_misfit_on_mnist_reads_as_promised() -> None:
    sentence = refuse("train", "mnist", "--likelihood", "bernoulli")
    assert sentence == (
        "likelihood 'bernoulli' needs binary data, but 'mnist' holds 256 grey levels; "
        "use --likelihood discretized-logistic, or --binarize dynamic"
    )


def test_a_run_below_a_file_is_refused() -> None:
    Path("file").write_text("in the way")
    assert "cannot write file/run" in refuse("train", "digits", *TINY, "--run", "file/run")
    assert Path("file").read_text() == "in the way"


@contextlib.contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file may grow beyond so many bytes; the soft limit can be lifted again."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [500, 6000])
def test_no_room_on_the_disk_is_one_sentence_and_leaves_only_whole_files(size: int, tmp_path: Path) -> None:
    """With room for nothing, and with room for all but the weights."""
    source = write_table(tmp_path / "people.csv")
    with room_for(size):
        sentence = refuse("train", source, "--label", "class", *TINY, "--run", "run")
    assert "free some space" in sentence
    left = content_of(Path("run"))
    assert not any("tmp" in name for name in left)
    if size == 500:
        assert left == {}
        return
    assert "model/config.json" not in left
    json.loads(left["config.json"])


def test_no_room_for_samples_keeps_the_old_ones(digits_run: Path) -> None:
    succeed("sample", digits_run, "-n", 2, "-o", "x.npy")
    before = Path("x.npy").read_bytes()
    with room_for(200):
        assert "cannot write x.npy" in refuse("sample", digits_run, "-n", 9, "-o", "x.npy")
    assert [path.name for path in Path().iterdir()] == ["x.npy"]
    assert Path("x.npy").read_bytes() == before


# Monitoring.


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--log", "wandb"), "--log wandb needs wandb; install it with: pip install 'nelbo[wandb]'"),
        (("--log", "tensorbord"), "did you mean 'tensorboard'"),
        (("--log-every", "often"), "--log-every often is no rhythm"),
        (("--images-every", "5steps"), "pictures are made after epochs"),
    ],
)
def test_monitoring_that_cannot_work_is_refused_before_anything_is_written(
    words: tuple[str, str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert sentence in refuse("train", "digits", *TINY, *words, "--run", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_pictures_of_a_table_are_refused(tmp_path: Path) -> None:
    source = write_table(tmp_path / "people.csv")
    words = ("--label", "class", "--images-every", "1epoch", "--run", tmp_path / "run")
    assert "draws images, but 'people" in refuse("train", source, *TINY, *words)
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("_plain_report")
def test_steps_and_pictures_lie_in_the_run(tmp_path: Path) -> None:
    succeed("train", "digits", *TINY, "--log-every", "5steps", "--images-every", "1epoch", "--run", tmp_path / "run")
    steps = [json.loads(line)["step"] for line in (tmp_path / "run" / "steps.jsonl").read_text().splitlines()]
    assert steps == [5, 10, 15, 20]
    assert len(list((tmp_path / "run" / "images").glob("samples-*.png"))) == 2
