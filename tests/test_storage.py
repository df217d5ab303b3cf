"""Files are whole or absent: what a failed write, a cut or a flipped bit can and cannot do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from nelbo.errors import StorageError
from nelbo.storage import (
    append_lines,
    digest,
    keep_lines,
    read_json,
    read_lines,
    read_tensors,
    write_bytes,
    write_json,
    write_tensors,
    write_text,
)


def tensors() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "weight": torch.randn(3, 4, generator=generator),
        "scalar": torch.tensor(2.5, dtype=torch.float64),
        "steps": torch.tensor([1, 2, 3]),
        "flags": torch.tensor([True, False]),
        "bytes": torch.arange(5, dtype=torch.uint8),
        "empty": torch.zeros(0, 2),
    }


def test_tensors_come_back_bit_for_bit_with_their_metadata(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "w.safetensors"
    write_tensors(path, tensors(), {"note": "å"})
    found, metadata = read_tensors(path)
    assert metadata == {"note": "å"}
    assert found.keys() == tensors().keys()
    for name, tensor in tensors().items():
        assert found[name].dtype == tensor.dtype
        assert found[name].shape == tensor.shape
        assert found[name].equal(tensor)


def test_reduced_precision_tensors_come_back(tmp_path: Path) -> None:
    halves = {"b": torch.randn(3, 2).bfloat16(), "h": torch.randn(4).half()}
    write_tensors(tmp_path / "w.safetensors", halves)
    found, _ = read_tensors(tmp_path / "w.safetensors")
    assert all(found[name].equal(halves[name]) for name in halves)


def test_transposed_and_shared_tensors_are_written_by_value(tmp_path: Path) -> None:
    base = torch.arange(6.0).view(2, 3)
    write_tensors(tmp_path / "w.safetensors", {"t": base.T, "same": base})
    found, _ = read_tensors(tmp_path / "w.safetensors")
    assert found["t"].equal(base.T)
    assert found["same"].equal(base)


def test_json_comes_back_and_is_plain_text(tmp_path: Path) -> None:
    content = {"a": [1, 2.5, None, True], "name": "größe"}
    write_json(tmp_path / "c.json", content)
    assert read_json(tmp_path / "c.json") == content
    assert json.loads((tmp_path / "c.json").read_text()) == content


def test_json_refuses_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "c.json", {"a": float("nan")})
    assert list(tmp_path.iterdir()) == []


# Damage.


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    write_tensors(path, tensors())
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(StorageError, match="restore it from a copy, or train again"):
            read_tensors(path)


def test_a_flipped_bit_never_changes_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    write_tensors(path, tensors(), {"note": "x"})
    content, intact = path.read_bytes(), tensors()
    refused = 0
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << (place % 8)
        path.write_bytes(bytes(damaged))
        try:
            found, _ = read_tensors(path)
        except StorageError:
            refused += 1
            continue
        assert found.keys() == intact.keys(), f"byte {place}"
        assert all(found[name].equal(intact[name]) for name in intact), f"byte {place}"
    assert refused > 0.8 * len(content)


def test_every_flipped_bit_of_the_numbers_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    write_tensors(path, {"w": torch.ones(4)})
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    for bit in range(8 * start, 8 * len(content)):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(bytes(damaged))
        with pytest.raises(StorageError, match="altered after it was written"):
            read_tensors(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"w\.safetensors is missing"):
        read_tensors(tmp_path / "w.safetensors")
    with pytest.raises(StorageError, match="damaged or truncated"):
        read_tensors(tmp_path)
    with pytest.raises(StorageError, match="cannot read"):
        read_json(tmp_path / "c.json")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe{}"], ids=["empty", "cut", "not UTF-8"])
def test_damaged_json_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c.json").write_bytes(content)
    with pytest.raises(StorageError, match=r"c\.json is damaged"):
        read_json(tmp_path / "c.json")


def test_the_digest_depends_on_names_shapes_types_and_values() -> None:
    base = {"a": torch.tensor([1.0, 2.0])}
    others = [
        {"b": torch.tensor([1.0, 2.0])},
        {"a": torch.tensor([[1.0, 2.0]])},
        {"a": torch.tensor([1.0, 2.0], dtype=torch.float64)},
        {"a": torch.tensor([1.0, 2.0]).view(torch.int32)},
        {"a": torch.tensor([1.0, -2.0])},
        {"a": torch.tensor([1.0, 2.0]), "c": torch.zeros(0)},
    ]
    digests = [digest(each) for each in (base, *others)]
    assert len(set(digests)) == len(digests)
    assert digest({"x": base["a"], "a": base["a"]}) == digest({"a": base["a"], "x": base["a"]})
    assert digest({"a": torch.tensor([[1.0, 3.0], [2.0, 4.0]]).T}) == digest(
        {"a": torch.tensor([[1.0, 2.0], [3.0, 4.0]])}
    )


# Writing where it cannot be done.


def test_a_place_below_a_file_is_refused_and_the_file_stays(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file" / "c.json", tmp_path / "file" / "deeper" / "c.json"):
        with pytest.raises(StorageError, match=r"cannot write .*choose another place \(--run DIR\)"):
            write_text(path, "x")
    assert (tmp_path / "file").read_text() == "mine"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_folder_in_the_way_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "c.json").mkdir()
    with pytest.raises(StorageError, match="cannot write"):
        write_text(tmp_path / "c.json", "x")
    assert [p.name for p in tmp_path.iterdir()] == ["c.json"]


FULL_DISK = """
import resource, sys
from pathlib import Path
from nelbo.errors import StorageError
from nelbo.storage import write_bytes
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_bytes(Path(sys.argv[1]), b"x" * 100_000)
except StorageError as problem:
    print(problem)
    sys.exit(2)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs RLIMIT_FSIZE")
def test_no_room_on_the_disk_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "w.bin"
    write_bytes(path, b"old")
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 2, done.stderr
    assert "free some space" in done.stdout
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["w.bin"]


def test_a_write_that_is_interrupted_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "w.bin"
    write_bytes(path, b"old")

    def fail(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(StorageError, match="No space left on device"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["w.bin"]


def test_lines_are_kept_added_and_read_up_to_the_first_that_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    keep_lines(path, bool)
    append_lines(path, [{"step": step} for step in range(5)])
    with path.open("ab") as file:
        file.write(b'{"step": 5}\n\xff\xfe12')
    assert [line["step"] for line in read_lines(path)] == list(range(6))
    keep_lines(path, lambda line: line["step"] != 2)
    assert path.read_text().splitlines() == [f'{{"step": {step}}}' for step in (0, 1, 3, 4, 5)]


def test_of_a_long_file_the_last_whole_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    append_lines(path, [{"step": step} for step in range(100)])
    assert [line["step"] for line in read_lines(path, last=45)] == [97, 98, 99]
    assert len(read_lines(path, last=10**6)) == 100
    assert read_lines(tmp_path / "none.jsonl", last=40) == []
