"""Measures pythae; runs in an environment that holds pythae and knows nothing of nelbo."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import final

import numpy as np
import torch
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from torch import Tensor, nn


@final
class Encoder(BaseEncoder):
    """784-512-2x20 with one output matrix, as on the other side."""

    def __init__(self, hidden: int, latent: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(784, hidden), nn.ReLU(), nn.Linear(hidden, 2 * latent))

    def forward(self, x: Tensor) -> ModelOutput:
        mean, log_variance = self.layers(x.flatten(1)).chunk(2, -1)
        return ModelOutput(embedding=mean, log_covariance=log_variance)


@final
class Decoder(BaseDecoder):
    """20-512-784; pythae's cross-entropy reads probabilities, hence the sigmoid."""

    def __init__(self, hidden: int, latent: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, 784), nn.Sigmoid())

    def forward(self, z: Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=self.layers(z).view(-1, 1, 28, 28))


@final
class Stamps(TrainingCallback):
    """The time at each epoch's end."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_epoch_end(self, training_config: BaseTrainerConfig, **kwargs: object) -> None:
        self.times.append(time.perf_counter())


def main() -> None:
    arguments = _parser().parse_args()
    torch.set_num_threads(arguments.threads)
    x = torch.from_numpy(np.load(arguments.data)).float()
    model = VAE(
        VAEConfig(input_dim=(1, 28, 28), latent_dim=arguments.latent, reconstruction_loss="bce"),
        encoder=Encoder(arguments.hidden, arguments.latent),
        decoder=Decoder(arguments.hidden, arguments.latent),
    )
    measured = train(model, x, arguments) if arguments.task == "train" else evaluate(model, x, arguments)
    arguments.out.write_text(json.dumps({**measured, "torch": torch.__version__, "threads": torch.get_num_threads()}))


def train(model: VAE, x: Tensor, arguments: argparse.Namespace) -> dict[str, object]:
    """Seconds of each epoch after the first, by pythae's own trainer."""
    stamps = Stamps()
    with tempfile.TemporaryDirectory() as folder:
        config = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=arguments.epochs + 1,
            per_device_train_batch_size=arguments.batch_size,
            learning_rate=arguments.lr,
            optimizer_cls="Adam",
            optimizer_params={"fused": True} if arguments.fused else None,
            no_cuda=True,
        )
        dataset = BaseDataset(x, torch.zeros(len(x)))
        BaseTrainer(model, dataset, training_config=config, callbacks=[stamps]).train()
    return {"seconds": np.diff(stamps.times).tolist(), "rows": len(x)}


@torch.no_grad()
def evaluate(model: VAE, x: Tensor, arguments: argparse.Namespace) -> dict[str, object]:
    """Seconds and mean of the log-likelihood estimate; `get_nll` returns log p, not its negative."""
    weights = np.load(arguments.weights)
    for name, parameter in zip(sorted(weights.files), _in_order(model), strict=True):
        parameter.copy_(torch.from_numpy(weights[name]))
    model.eval()
    model.get_nll(x[:2], n_samples=arguments.samples, batch_size=arguments.batch_size)
    started = time.perf_counter()
    log_likelihood = model.get_nll(x, n_samples=arguments.samples, batch_size=arguments.batch_size)
    return {"seconds": time.perf_counter() - started, "rows": len(x), "log_likelihood": float(log_likelihood)}


def _in_order(model: VAE) -> list[nn.Parameter]:
    """Encoder, then decoder: pythae registers them the other way round."""
    return [*model.encoder.parameters(), *model.decoder.parameters()]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=("train", "evaluate"))
    parser.add_argument("--data", type=Path, required=True, help="zeros and ones, .npy [N, 1, 28, 28]")
    parser.add_argument("--weights", type=Path, help=".npz, in the order of its names")
    parser.add_argument("--hidden", type=int, required=True)
    parser.add_argument("--latent", type=int, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--samples", type=int, default=1_000)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--fused", action="store_true")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    return parser


if __name__ == "__main__":
    main()
