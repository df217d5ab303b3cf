"""Features of the data themselves, against NumPy, and those of a file of the user's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nelbo.data import Column, DataSpec, Kind
from nelbo.errors import ConfigError
from nelbo.evaluate.features import Components, OwnFeatures

pytestmark = pytest.mark.usefixtures("own_parts")

TABLE = DataSpec(name="t", event_shape=(4,), kind=Kind.REAL, layout="table")
IMAGE = DataSpec(name="i", event_shape=(1, 2, 2), kind=Kind.BYTE, levels=256, layout="image")


def test_components_of_a_table_are_those_of_its_correlations() -> None:
    x = torch.randn(200, 4, dtype=torch.float64) @ torch.randn(4, 4, dtype=torch.float64)
    x *= torch.tensor([1.0, 100.0, 0.01, 5.0])
    found = Components(x, TABLE)(x).numpy()
    eigenvalues = np.linalg.eigvalsh(np.corrcoef(x.numpy().T))[::-1]
    np.testing.assert_allclose(found.var(0), eigenvalues / eigenvalues.mean(), rtol=1e-2)
    np.testing.assert_allclose(np.cov(found.T) - np.diag(found.var(0, ddof=1)), 0, atol=1e-10)


def test_components_of_images_keep_the_proportions_of_pixels() -> None:
    x = torch.randn(300, 1, 2, 2, dtype=torch.float64) * torch.tensor([[1.0, 10.0], [2.0, 0.1]])
    components = Components(x, IMAGE)
    gaps = torch.cdist(components(x), components(x)) / torch.cdist(x.flatten(1), x.flatten(1))
    off = ~torch.eye(300, dtype=torch.bool)
    torch.testing.assert_close(gaps[off], gaps[0, 1].expand(300 * 299))  # distances, but for one unit
    assert float(components(x).var(0).mean()) == pytest.approx(1, rel=1e-6)


def test_many_columns_and_constant_ones_become_sixty_four_numbers() -> None:
    spec = TABLE.model_copy(update={"event_shape": (80,)})
    x = torch.randn(100, 80)
    x[:, 7] = 3.0
    components = Components(x, spec)
    assert components(x[:5]).shape == (5, 64)
    assert "in 64 principal components" in components.words
    assert Components(x[:9], spec)(x).shape == (100, 8)


def test_codes_are_one_hot_and_counts_logarithms() -> None:
    columns = (
        Column(name="a", kind=Kind.CATEGORICAL, low=0, high=2, distinct=3),
        Column(name="b", kind=Kind.COUNT, low=0, high=99, distinct=50),
    )
    spec = DataSpec(name="m", event_shape=(2,), kind=Kind.MIXED, layout="table", columns=columns)
    x = torch.tensor([[0.0, 0.0], [1.0, 9.0], [2.0, 99.0], [0.0, 99.0]]).repeat(5, 1)
    components = Components(x, spec)
    found = components(x)
    assert found.shape == (20, 4)
    logs = np.log10(x[:, 1].numpy() + 1)
    gaps = torch.cdist(found, found)[0] ** 2
    unit = float(gaps[3]) / (2 / logs.std()) ** 2  # row 3 differs in its count alone
    codes = [0, 2, 2, 0]  # squared distance of one-hot codes
    expected = [(logs[j] / logs.std()) ** 2 + codes[j] for j in range(4)]
    np.testing.assert_allclose(gaps[:4] / unit, expected, rtol=1e-6, atol=1e-9)
    assert "counts as log(1 + x), codes one-hot" in components.words


def write(folder: Path, body: str) -> str:
    file = folder / "own.py"
    file.write_text("import torch\n" + body)
    return str(file)


def test_features_of_a_file_are_called_with_rows_as_they_are(tmp_path: Path) -> None:
    file = write(tmp_path, "def features(x):\n    return torch.stack([x.sum((1, 2, 3)), x.amax((1, 2, 3))], 1)\n")
    features = OwnFeatures(file)
    x = torch.rand(1_200, 1, 2, 2)  # more than go together
    expected = torch.stack([x.sum((1, 2, 3)), x.amax((1, 2, 3))], 1).double()
    torch.testing.assert_close(features(x), expected)
    assert features.as_json()["file"] == file
    assert len(features.as_json()["sha256"]) == 64


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("def other(x):\n    return x\n", "defines no function features, which samples:features=FILE asks for"),
        ("def features(x):\n    return x @ x\n", r"own\.py, line 3 raised RuntimeError"),
        ("def features(x):\n    return x.tolist()\n", "returned a list; return a tensor"),
        ("def features(x):\n    return x[:3]\n", r"returned \[3, 4\] for 7 rows"),
        ("def features(x):\n    return x.log() * 0\n", "returned values that are not finite"),
        ("1 / 0\n", r"own\.py, line 2 raised ZeroDivisionError: division by zero; mend the file"),
    ],
)
def test_a_file_that_does_not_do_is_refused_in_one_sentence(tmp_path: Path, body: str, words: str) -> None:
    file = write(tmp_path, body)
    with pytest.raises(ConfigError, match=words) as refused:
        OwnFeatures(file)(torch.zeros(7, 4))
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"cannot read the plugin gone\.py .*give samples:features=FILE a Python file"
    ):
        OwnFeatures("gone.py")
