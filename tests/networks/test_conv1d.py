"""Convolutional encoder and decoder for series: every length from 8, one channel or several."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nelbo.core import Batch
from nelbo.errors import CompositionError
from nelbo.likelihoods import GaussianLikelihood
from nelbo.models import LatentVariableModel
from nelbo.networks import Conv1dDecoder, Conv1dEncoder, ConvEncoder
from nelbo.objectives import ELBO
from nelbo.posteriors import GaussianPosterior
from nelbo.priors import StandardNormalPrior

SHAPES = [(8,), (9,), (13,), (1, 16), (3, 31), (5, 100), (2, 1000)]
EVERY_SHAPE = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))


@EVERY_SHAPE
def test_encoder_and_decoder_fit_every_series(shape: tuple[int, ...]) -> None:
    encoder, decoder = Conv1dEncoder(shape, 6).eval(), Conv1dDecoder(3, shape, parameters=2).eval()
    with torch.no_grad():
        features = encoder(torch.randn(2, *shape))
        series = decoder(features[:, :3])
    assert features.shape == (2, 6)
    assert encoder.out_features == 6
    assert series.shape == (2, 2 * torch.Size(shape).numel())
    assert decoder.out_features == series.shape[1]


@pytest.mark.parametrize("steps", range(8, 200, 7))
def test_every_length_can_be_built(steps: int) -> None:
    with torch.no_grad():
        assert Conv1dDecoder(1, (steps,)).eval()(torch.zeros(1, 1)).shape == (1, steps)


def test_the_output_is_ordered_by_parameter_then_channel() -> None:
    decoder = Conv1dDecoder(2, (3, 13), parameters=2).eval()
    last = [layer for layer in decoder.triples if isinstance(layer, nn.ConvTranspose1d)][-1]
    with torch.no_grad():
        last.weight.zero_()
        assert last.bias is not None
        last.bias.copy_(torch.arange(6))
        out = decoder(torch.randn(1, 2)).view(2, 3, 13)
    assert all(bool((out[p, c] == 3 * p + c).all()) for p in range(2) for c in range(3))


def test_a_series_later_by_a_whole_step_of_the_last_map_gives_the_same_map_later() -> None:
    """What a convolution is for; away from the ends, three halvings turn 8 steps into one."""
    torch.manual_seed(0)
    encoder = Conv1dEncoder((64,), 2, channels=(4, 4, 4)).eval()
    pulse = torch.zeros(1, 1, 64)
    pulse[..., 24:30] = torch.randn(6)
    early, late = encoder.triples(pulse), encoder.triples(pulse.roll(8, -1))
    torch.testing.assert_close(early[..., 1:6], late[..., 2:7])
    assert not torch.allclose(early, late)


def test_the_stack_is_that_of_the_image_network_on_one_axis() -> None:
    one, two = Conv1dEncoder((32,), 4), ConvEncoder((1, 32, 32), 4)
    kinds = [[type(layer).__name__.replace("1d", "2d") for layer in network.triples] for network in (one, two)]
    assert kinds[0] == kinds[1]


def test_a_model_of_series_with_channels_is_scored_and_trained() -> None:
    """Event shape [C, T], as it comes in Python."""
    shape = (2, 17)
    model = LatentVariableModel(
        StandardNormalPrior(3),
        GaussianPosterior(Conv1dEncoder(shape, 6, channels=4)),
        GaussianLikelihood(Conv1dDecoder(3, shape, 2, channels=4), shape, sigma="datum"),
    )
    batch = Batch(torch.randn(5, *shape))
    loss = ELBO(model)(batch)
    loss.loss.backward()
    assert loss.bound is not None
    assert loss.bound.shape == (5,)
    assert all(p.grad is not None and bool(p.grad.any()) for p in model.parameters())
    assert model.decode(torch.zeros(4, 3)).sample().shape == (4, *shape)


def test_context_is_accepted_by_both() -> None:
    context = torch.randn(3, 2)
    encoder, decoder = Conv1dEncoder((12,), 4, context=2).eval(), Conv1dDecoder(4, (12,), context=2).eval()
    x, z = torch.randn(3, 12), torch.randn(3, 4)
    assert encoder(x, context).shape == (3, 4)
    assert decoder(z, context).shape == (3, 12)
    assert not torch.equal(encoder(x, context), encoder(x, context + 1))
    assert not torch.equal(decoder(z, context), decoder(z, context + 1))


@pytest.mark.parametrize(("shape", "remedy"), [((7,), "mlp"), ((3, 6), "mlp"), ((1, 8, 8), "conv")])
def test_other_shapes_are_refused_with_the_remedy(shape: tuple[int, ...], remedy: str) -> None:
    for make in (lambda: Conv1dEncoder(shape, 4), lambda: Conv1dDecoder(4, shape)):
        with pytest.raises(CompositionError, match=rf"8 steps or more, but .*use --network {remedy}$"):
            make()


def test_more_halvings_than_the_series_has_are_refused() -> None:
    with pytest.raises(CompositionError, match=r"halvings do not fit a series of 8; give fewer channels"):
        Conv1dEncoder((8,), 4, channels=(4, 4, 4, 4))
