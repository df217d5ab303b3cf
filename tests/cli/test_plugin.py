"""`--plugin`: parts of the user's own on the command line, and runs that need them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from .conftest import TINY, call, environment, read_rows, refuse, succeed, write_table

GUIDE = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text()
BLOCKS = {
    word: next(block for block in re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL) if word in block)
    for word in ("class SkewedPrior", "class HyperbolicSecantLikelihood")
}
MARK = "\nfrom pathlib import Path\nwith Path('imported').open('a') as file:\n    file.write('x')\n"

pytestmark = pytest.mark.usefixtures("own_parts")


def write_plugins(home: Path) -> tuple[Path, Path]:
    """The guide's prior and likelihood as files, the first leaving a mark wherever it is imported."""
    prior, likelihood = home / "my_prior.py", home / "my_likelihood.py"
    prior.write_text(BLOCKS["class SkewedPrior"] + MARK)
    likelihood.write_text(BLOCKS["class HyperbolicSecantLikelihood"])
    return prior, likelihood


def nelbo(*words: object, folder: Path) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, where nothing was loaded before."""
    line = [sys.executable, "-m", "nelbo", *map(str, words)]
    return subprocess.run(line, capture_output=True, text=True, cwd=folder, env=environment(), check=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a prior and a likelihood of the user's own, from a real process with the real report."""
    home = tmp_path_factory.mktemp("plugins")
    prior, likelihood = write_plugins(home)
    write_table(home / "people.csv")
    words = ("people.csv", "--label", "class", *TINY, "--plugin", prior.name, "--plugin", likelihood.name)
    own = ("--prior", "skewed:skew=0.5", "--likelihood", "hyperbolic-secant")
    ended = nelbo("train", *words, *own, "--run", "run", folder=home)
    assert ended.returncode == 0, ended.stderr
    return home


@pytest.fixture
def home(trained: Path, tmp_path: Path) -> Path:
    """A copy of that run and its plugins, to be spoilt; recorded paths are those of the copy."""
    copy = Path(shutil.copytree(trained, tmp_path / "home"))
    (copy / "imported").unlink()
    for config in copy.rglob("config.json"):
        config.write_text(config.read_text().replace(str(trained), str(copy)))
    return copy


def test_a_run_records_path_digest_and_parts_of_the_plugins_it_used(trained: Path) -> None:
    import hashlib

    for config in ("run/config.json", "run/model/config.json"):
        records = {Path(each["path"]).name: each for each in json.loads((trained / config).read_text())["plugins"]}
        assert {name: record["parts"] for name, record in records.items()} == {
            "my_prior.py": ["prior/skewed"],
            "my_likelihood.py": ["likelihood/hyperbolic-secant"],
        }
        for name, record in records.items():
            assert record["sha256"] == hashlib.sha256((trained / name).read_bytes()).hexdigest()
            assert Path(record["path"]) == trained / name


def test_options_of_a_part_string_reach_an_own_part(trained: Path) -> None:
    spec = json.loads((trained / "run" / "model" / "config.json").read_text())["spec"]
    assert spec["prior"] == {"part": "prior/skewed", "dim": 2, "skew": 0.5}
    assert spec["likelihood"]["shape"] == [2]


def test_a_run_that_used_none_records_none(digits_run: Path) -> None:
    assert json.loads((digits_run / "config.json").read_text())["plugins"] == []


OPENING = (
    ("evaluate", "run", "--samples", 5),
    ("sample", "run", "-o", "x.npz"),
    ("reconstruct", "run", "-o", "x.npz"),
    ("encode", "run", "-o", "x.npz"),
    ("report", "run"),
    ("train", "--resume", "--run", "run"),
)


def ready(home: Path, words: tuple[object, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in the folder of the run; for a resume, the run is not at its end."""
    monkeypatch.chdir(home)
    if words[0] == "train":
        state = json.loads((home / "run" / "state.json").read_text())
        (home / "run" / "state.json").write_text(json.dumps({**state, "stopped": "out of time"}))


@pytest.mark.parametrize("words", OPENING, ids=lambda words: str(words[0]))
def test_a_run_is_opened_with_its_plugins_and_never_imports_them_by_itself(
    home: Path, words: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    ready(home, words, monkeypatch)
    sentence = refuse(*words)
    assert re.fullmatch(
        rf"run was trained with the (prior 'skewed'|likelihood 'hyperbolic-secant') of the plugin ({home}/my_\w+\.py), "
        r"and a plugin is only imported where it is asked for: pass --plugin \2 \(in Python, nelbo\.load_plugin\)",
        sentence,
    )
    assert not Path("imported").exists()
    assert "my_prior.py" in refuse(*words, "--plugin", "my_likelihood.py")
    assert not Path("imported").exists()
    outcome = succeed(*words, "--plugin", "my_likelihood.py", "--plugin", "my_prior.py")
    assert Path("imported").exists()
    assert "warning" not in outcome.err


@pytest.mark.filterwarnings("default")
def test_a_changed_plugin_is_warned_of_once_and_used(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    Path("my_prior.py").write_text(Path("my_prior.py").read_text() + "# changed\n")
    given = ("--plugin", "my_prior.py", "--plugin", "my_likelihood.py")
    (warning,) = (
        line for line in succeed("sample", "run", "-o", "x.npz", *given).err.splitlines() if line.startswith("warning")
    )
    assert warning == (
        f"warning: the plugin {home}/my_prior.py is not the file that this run was trained with (its content differs), "
        "so figures may change; give the old one with --plugin to repeat them"
    )


def test_the_same_file_elsewhere_serves_as_well(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    Path("moved").mkdir()
    for name in ("my_prior.py", "my_likelihood.py"):
        Path(name).rename(Path("moved") / name)
    given = ("--plugin", "moved/my_prior.py", "--plugin", "moved/my_likelihood.py")
    outcome = succeed("encode", "run", "-o", "z.csv", *given)
    assert "warning" not in outcome.err
    assert len(read_rows("z.csv")) == 6


def test_a_name_that_nelbo_came_to_hold_is_not_taken_for_the_plugins(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of ours under the recorded name is another part."""
    monkeypatch.chdir(home)
    for config in home.rglob("config.json"):
        config.write_text(config.read_text().replace("prior/skewed", "prior/standard"))
    assert "prior 'standard'" in refuse("sample", "run", "--plugin", "my_likelihood.py")


def test_own_parts_are_listed_with_their_options_and_their_file(tmp_path: Path) -> None:
    prior, likelihood = write_plugins(tmp_path)
    content = json.loads(succeed("parts", "--plugin", prior, "--plugin", likelihood, "--json").out)["parts"]
    found = {(each["kind"], each["name"]): each for each in content}
    assert found["prior", "skewed"]["options"] == {"skew": 0.0}
    assert found["prior", "skewed"]["citations"] == [str(prior)]
    assert "real" in found["likelihood", "hyperbolic-secant"]["serves"]
    assert "skewed" in succeed("parts", "prior", "--plugin", prior).out


@pytest.mark.usefixtures("_plain_report")
def test_an_own_pair_of_networks_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "pair.py").write_text(PAIR)
    succeed("train", "digits", *TINY, "--plugin", tmp_path / "pair.py", "--network", "flat:bias=false", "--run", "run")
    spec = json.loads(Path("run/config.json").read_text())
    model = spec["objective"]["model"]
    assert model["posterior"]["network"]["part"] == "network/flat-encoder"
    assert model["likelihood"]["network"] == {"part": "network/flat-decoder", "in_features": 2, "out_features": 128,
                                              "bias": False}  # fmt: skip
    assert spec["plugins"][0]["parts"] == ["network/flat-decoder", "network/flat-encoder"]


PAIR = """
from torch import nn
from nelbo import register
from nelbo.networks import Network

class Flat(Network):
    def __init__(self, in_features, out_features, bias=True):
        super().__init__()
        self.out_features, self.map = out_features, nn.Linear(in_features, out_features, bias)

@register("network/flat-encoder")
class Encoder(Flat):
    '''One affine map of the pixels.'''
    def forward(self, x, context=None):
        return self.map(x.flatten(1))

@register("network/flat-decoder")
class Decoder(Flat):
    '''One affine map of the code.'''
    def forward(self, x, context=None):
        return self.map(x)
"""

NO_PRIOR = "from nelbo import register\n@register('prior/odd')\nclass Odd: ...\n"
TAKEN = "from nelbo import register\nfrom nelbo.core import Prior\n@register('prior/vamp')\nclass Mine(Prior): ...\n"
TWIN = TAKEN.replace("class Mine", "class VampPrior")
ABSTRACT = "from nelbo import register\nfrom nelbo.core import Prior\n@register('prior/odd')\nclass Odd(Prior): ...\n"
UNSAID = BLOCKS["class HyperbolicSecantLikelihood"].replace("    density: ClassVar = True\n", "")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("x = 1\n", ["registers nothing", "@nelbo.register('prior/mine')"]),
        ("", ["registers nothing"]),
        ("\n\nprior = missing\n", ["line 3", "NameError: name 'missing' is not defined", "mend the file"]),
        ("def f(:\n", ["line 1", "SyntaxError: invalid syntax"]),
        ("import sys\nsys.exit(0)\n", ["line 2", "SystemExit: 0"]),
        ("raise ValueError\n", ["line 1", "raised ValueError;"]),
        ("import no_such_neighbour\n", ["ModuleNotFoundError", "'no_such_neighbour'"]),
        ("x = '\xff'\n".encode("latin-1"), ["Error"]),
        (b"x = 1\0\n", ["Error"]),
        (NO_PRIOR, ["Odd as 'prior/odd'", "no Prior", "nelbo.core.Prior"]),
        (NO_PRIOR.replace("prior/odd", "odd"), ["unknown kind of part", "'odd'", "prior"]),
        (TAKEN, ["line 3", "'prior/vamp' is taken by nelbo.priors.vamp.VampPrior"]),
        (TWIN, ["'prior/vamp' is taken by nelbo.priors.vamp.VampPrior"]),
        (ABSTRACT, ["lacks forward"]),
        (UNSAID, ["lacks density"]),
    ],
)
def test_a_bad_plugin_is_refused_in_one_sentence_and_leaves_no_part_behind(
    content: str | bytes, said: list[str]
) -> None:
    from nelbo.registry import registered

    before = {kind: dict(registered(kind)) for kind in ("prior", "likelihood", "network")}
    Path("bad.py").write_bytes(content if isinstance(content, bytes) else content.encode())
    sentence = refuse("train", "digits", *TINY, "--plugin", "bad.py")
    assert str(Path("bad.py").absolute()) in sentence
    assert all(word in sentence for word in said), sentence
    assert {kind: dict(registered(kind)) for kind in before} == before
    assert [path.name for path in Path().iterdir()] == ["bad.py"]


def test_ctrl_c_says_how_to_go_on_with_the_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    prior, _ = write_plugins(tmp_path)
    monkeypatch.setattr("nelbo.runs.train_run", interrupted)
    outcome = call("train", "digits", *TINY, "--plugin", prior, "--prior", "skewed", "--run", "run")
    assert outcome.status == 130
    assert f"nelbo train --resume run --plugin {prior}\n" in outcome.err


def test_a_plugin_that_is_not_there_is_refused() -> None:
    Path("folder").mkdir()
    assert "cannot read the plugin nowhere.py (No such file" in refuse("parts", "--plugin", "nowhere.py")
    assert "cannot read the plugin folder (" in refuse("parts", "--plugin", "folder")


def test_samples_of_an_own_prior_are_not_those_of_another(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The option of the part string is in the weights: the loaded prior is the trained one."""
    monkeypatch.chdir(home)
    from nelbo import plugins
    from nelbo.runs import Run

    for name in ("my_prior.py", "my_likelihood.py"):
        plugins.load(name)
    skew = Run("run").load().model.get_submodule("prior").skew
    assert np.allclose(skew.detach().numpy(), 0.5, atol=0.1)  # two epochs away from where it started
    assert not np.allclose(skew.detach().numpy(), 0.5, atol=1e-6)
