"""The data sets that are known by name."""

from __future__ import annotations

import hashlib
import math
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import numpy as np

from nelbo.data.hdf5 import read_h5, read_h5ad
from nelbo.data.idx import parse_idx
from nelbo.data.raw import Codes, Raw
from nelbo.data.shapes import FACTORS, SHAPES, SIDE, draw_shapes
from nelbo.data.spec import Kind
from nelbo.data.store import KnownFile, Store, default_store
from nelbo.errors import DataError, unknown

__all__ = ["NAMES", "DatasetInfo", "catalogue", "is_sequence", "read_named"]


@final
@dataclass(frozen=True)
class DatasetInfo:
    """What the catalogue says of a named data set, and whether it is on this machine."""

    name: str
    rows: int
    shape: tuple[int, ...]
    kind: Kind
    levels: int | None
    labels: int  # classes, 0 = none
    source: str
    licence: str
    citation: str
    available: bool
    where: str


@dataclass(frozen=True)
class NamedDataset(ABC):
    """A data set with a name, its card and how it is read."""

    name: str
    rows: int
    shape: tuple[int, ...]
    kind: Kind
    levels: int | None
    labels: int
    source: str
    licence: str
    citation: str
    files: tuple[KnownFile, ...] = ()
    sequence: bool = False  # neighbouring rows are near-copies
    folder: str = ""  # that holds the files, its name by default
    origin: str = ""  # where it comes from without files

    @abstractmethod
    def read(self, store: Store) -> Raw:
        """The rows and all that comes with them."""

    def info(self, store: Store) -> DatasetInfo:
        """The card, with where the files are."""
        found = [store.find(self.folder or self.name, file) for file in self.files]
        available = all(path is not None for path in found)
        where = str(found[0].parent) if found and found[0] is not None else "not here"
        if not self.files:
            where = self.origin
        elif not available and all(file.url for file in self.files):
            where = "fetched on first use"
        return DatasetInfo(
            self.name, self.rows, self.shape, self.kind, self.levels, self.labels,
            self.source, self.licence, self.citation, available, where,
        )  # fmt: skip


@final
class Digits(NamedDataset):
    """1,797 handwritten digits of 8 x 8 with 17 levels."""

    def read(self, store: Store) -> Raw:
        from sklearn.datasets import load_digits

        bunch = load_digits()
        return Raw(
            bunch.images.astype(np.uint8)[:, None],
            "image",
            self.name,
            label=bunch.target,
            label_names=tuple(str(digit) for digit in range(self.labels)),
            kind=Kind.LEVELS,
        )


@final
class Shapes(NamedDataset):
    """Every combination of shape, scale, orientation and place once, in black and white; the label is the shape."""

    def read(self, store: Store) -> Raw:
        images, factors = draw_shapes()
        return Raw(
            images,
            "image",
            self.name,
            label=np.searchsorted(SHAPES, factors["shape"]),
            label_names=SHAPES,
            factors=factors,
            kind=self.kind,
            reasons=("every combination of the factors of variation is there once",),
        )


@final
@dataclass(frozen=True)
class IdxImages(NamedDataset):
    """Images and labels in four IDX files: training and test."""

    class_names: tuple[str, ...] = ()

    def read(self, store: Store) -> Raw:
        train_x, train_y, test_x, test_y = (parse_idx(store.content(self.name, file), file.name) for file in self.files)
        count = len(train_x)
        return Raw(
            np.concatenate([train_x, test_x])[:, None],
            "image",
            self.name,
            label=np.concatenate([train_y, test_y]),
            label_names=self.class_names,
            official=_consecutive({"train": count, "test": len(test_x)}),
            kind=self.kind,
        )


@final
class BinarizedMnist(NamedDataset):
    """Larochelle's static binarisation, eight pixels a byte."""

    def read(self, store: Store) -> Raw:
        file = self.files[0]
        path = store.path(self.name, file)
        try:
            with np.load(path, allow_pickle=False) as archive:
                packed = [archive[key] for key in ("train", "valid", "test")]
        except (ValueError, KeyError, EOFError, OSError, zlib.error, zipfile.BadZipFile):
            raise _unreadable(path) from None
        _verify(b"".join(part.tobytes() for part in packed), file, path)
        sizes = dict(zip(("train", "validation", "test"), map(len, packed), strict=True))
        pixels = np.unpackbits(np.concatenate(packed), axis=1)
        return Raw(
            pixels.reshape(-1, *self.shape), "image", self.name, official=_consecutive(sizes), kind=self.kind
        )  # fmt: skip


@final
class FreyFaces(NamedDataset):
    """1,965 frames of a film of one face."""

    def read(self, store: Store) -> Raw:
        file = self.files[0]
        path = store.path(self.name, file)
        try:
            frames = np.load(path, allow_pickle=False)
        except (ValueError, EOFError, OSError):
            raise _unreadable(path) from None
        _verify(frames.tobytes(), file, path)
        reason = "the frames are in the order of the film: neighbours are near-copies"
        return Raw(frames.reshape(-1, *self.shape), "image", self.name, kind=self.kind, reasons=(reason,))


@final
@dataclass(frozen=True)
class Counts(NamedDataset):
    """Molecules counted in single cells, cells by genes, in an HDF5 file."""

    label: str = ""  # the array, or the column of obs, that holds the types of the cells

    def read(self, store: Store) -> Raw:
        (file,) = self.files
        place = (file.name, store.content(self.folder or self.name, file))
        raw = (read_h5ad if file.name.endswith(".h5ad") else read_h5)(place, self.label, None)
        return replace(raw, name=self.name, kind=self.kind)


def catalogue(store: Store | None = None) -> list[DatasetInfo]:
    """All data sets known by name, with where each is found."""
    store = store or default_store()
    return [dataset.info(store) for dataset in _DATASETS.values()]


def read_named(name: str, store: Store | None = None) -> Raw:
    """The data set of that name."""
    if name not in _DATASETS:
        raise unknown("data set", name, _DATASETS, DataError)
    return _DATASETS[name].read(store or default_store())


def is_sequence(name: str) -> bool:
    """Whether neighbouring rows of the data set of that name are near-copies, as in a film."""
    return name in _DATASETS and _DATASETS[name].sequence


def _consecutive(sizes: Mapping[str, int]) -> dict[str, Codes]:
    """Rows of parts that lie one after the other."""
    ends = np.cumsum(list(sizes.values()))
    return {
        part: np.arange(end - size, end, dtype=np.int64)
        for (part, size), end in zip(sizes.items(), ends.tolist(), strict=True)
    }


def _unreadable(path: Path) -> DataError:
    return DataError(f"'{path}' cannot be read as a NumPy file; it is damaged or cut short, put a whole copy there")


def _verify(content: bytes, file: KnownFile, path: Path) -> None:
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise DataError(f"'{path}' does not hold the known content (its SHA-256 differs); put the right copy there")


def _idx_files(base: str, *hashes: str) -> tuple[KnownFile, ...]:
    names = (
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
    )
    return tuple(KnownFile(name, sha256, base + name) for name, sha256 in zip(names, hashes, strict=True))


_DATASETS: Mapping[str, NamedDataset] = {
    each.name: each
    for each in (
        Digits(
            name="digits", rows=1797, shape=(1, 8, 8), kind=Kind.LEVELS, levels=17, labels=10,
            source="UCI optical recognition of handwritten digits, test part, through scikit-learn",
            licence="CC BY 4.0",
            citation="Alpaydin & Kaynak (1998), Optical Recognition of Handwritten Digits, UCI, doi:10.24432/C50P49",
            origin="inside scikit-learn",
        ),
        Shapes(
            name="shapes", rows=math.prod(map(len, FACTORS.values())), shape=(1, SIDE, SIDE), kind=Kind.BINARY,
            levels=None, labels=len(SHAPES),
            source="drawn by nelbo by formula, after the idea of dSprites",
            licence="Apache-2.0 (nelbo)",
            citation="Matthey, Higgins, Hassabis & Lerchner (2017), dSprites: disentanglement testing sprites dataset",
            origin="drawn by nelbo",
        ),
        IdxImages(
            name="mnist", rows=70_000, shape=(1, 28, 28), kind=Kind.BYTE, levels=256, labels=10,
            source="LeCun, Cortes & Burges", licence="as published by its authors",
            citation="LeCun, Bottou, Bengio & Haffner (1998), Gradient-based learning applied to document recognition, "
            "Proc. IEEE 86(11)",
            files=_idx_files(
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ),
            class_names=tuple("0123456789"),
        ),
        IdxImages(
            name="fashion-mnist", rows=70_000, shape=(1, 28, 28), kind=Kind.BYTE, levels=256, labels=10,
            source="Zalando Research", licence="MIT",
            citation="Xiao, Rasul & Vollgraf (2017), Fashion-MNIST: a novel image dataset for benchmarking machine "
            "learning algorithms, arXiv:1708.07747",
            files=_idx_files(
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            ),
            class_names=(
                "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
                "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
            ),
        ),
        BinarizedMnist(
            name="binarized-mnist", rows=70_000, shape=(1, 28, 28), kind=Kind.BINARY, levels=None, labels=0,
            source="Larochelle & Murray, static binarisation of MNIST", licence="as published by its authors",
            citation="Larochelle & Murray (2011), The neural autoregressive distribution estimator, AISTATS",
            files=(
                KnownFile(
                    "binarized_mnist_packed.npz",
                    "c462f82a020638a4d5d8d44e4c83242ee0145ee1d125869d0e030c35011837e6",
                ),
            ),
        ),
        FreyFaces(
            name="frey-faces", rows=1965, shape=(1, 28, 20), kind=Kind.BYTE, levels=256, labels=0,
            source="Brendan Frey and Sam Roweis", licence="as published by its authors",
            citation="Roweis & Saul (2000), Nonlinear dimensionality reduction by locally linear embedding, "
            "Science 290",
            files=(KnownFile("freyfaces.npy", "2438ba4f0d2a6bd8bac43de756141eaa33c8d248dd613d464bdb1210d9b7af78"),),
            sequence=True,
        ),
        Counts(
            name="single-cell", rows=2100, shape=(20_670,), kind=Kind.COUNT, levels=None, labels=16,
            source="Mouse Cell Atlas, bladder, 2,100 cells selected by the authors of scDeepCluster",
            licence="Apache-2.0 (scDeepCluster)",
            citation="Han et al. (2018), Mapping the Mouse Cell Atlas by Microwell-Seq, Cell 172",
            files=(
                KnownFile(
                    "mouse_bladder_cell_select_2100.h5",
                    "4e686932884fc04d8bc9a92dad1a648d6e23f490b0c106903bca95d68093f591",
                ),
            ),
            label="Y",
        ),
        Counts(
            name="smfish", rows=4530, shape=(33,), kind=Kind.COUNT, levels=None, labels=6,
            source="osmFISH of the mouse somatosensory cortex, as prepared for scvi-tools",
            licence="as published by its authors",
            citation="Codeluppi et al. (2018), Spatial organization of the somatosensory cortex revealed by osmFISH, "
            "Nature Methods 15",
            files=(KnownFile("smfish.h5ad", "49c6e5e0e00d963f6510b795d06d78752d24f8c8127c80c8563c73d7fa107ac6"),),
            folder="single-cell",
            label="str_labels",
        ),
    )
}  # fmt: skip
NAMES = tuple(_DATASETS)
