"""Convolutional encoder and decoder: every size from 8 to 128, and what lies outside."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nelbo.errors import CompositionError, ConfigError
from nelbo.networks import ConvDecoder, ConvEncoder

SIZES = [(8, 8), (9, 9), (9, 13), (15, 17), (16, 16), (28, 28), (28, 20), (31, 32), (33, 64), (8, 128), (127, 128)]
EVERY_SIZE = pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
COLOURS = pytest.mark.parametrize("colours", [1, 3])


@COLOURS
@EVERY_SIZE
def test_encoder_and_decoder_fit_every_image_size(size: tuple[int, int], colours: int) -> None:
    shape = (colours, *size)
    encoder, decoder = ConvEncoder(shape, 6).eval(), ConvDecoder(3, shape, parameters=2).eval()
    with torch.no_grad():
        features = encoder(torch.randn(2, *shape))
        images = decoder(features[:, :3])
    assert features.shape == (2, 6)
    assert encoder.out_features == 6
    assert images.shape == (2, 2 * colours * size[0] * size[1])
    assert decoder.out_features == images.shape[1]


@pytest.mark.parametrize("side", range(8, 129))
def test_every_square_from_8_to_128_can_be_built(side: int) -> None:
    decoder = ConvDecoder(1, (1, side, side), channels=(2,) * (1 if side < 16 else 2)).eval()
    with torch.no_grad():
        assert decoder(torch.zeros(1, 1)).shape == (1, side * side)


@pytest.mark.parametrize("parameters", [1, 2, 3])
@COLOURS
def test_the_output_is_ordered_by_parameter_then_channel(parameters: int, colours: int) -> None:
    # The last convolution's channels are the parameters' channels, one after the other: its bias shows where.
    decoder = ConvDecoder(2, (colours, 9, 13), parameters=parameters).eval()
    last = [layer for layer in decoder.triples if isinstance(layer, nn.ConvTranspose2d)][-1]
    with torch.no_grad():
        last.weight.zero_()
        assert last.bias is not None
        last.bias.copy_(torch.arange(parameters * colours))
        out = decoder(torch.randn(1, 2)).view(parameters, colours, 9, 13)
    for p in range(parameters):
        for c in range(colours):
            assert bool((out[p, c] == p * colours + c).all())


def test_the_triples_halve_the_image_down_to_a_few_pixels() -> None:
    encoder = ConvEncoder((1, 28, 28), 4).eval()
    sizes, x = [], torch.zeros(1, 1, 28, 28)
    for layer in encoder.triples:
        x = layer(x)
        sizes += [tuple(x.shape[1:])] if isinstance(layer, nn.Conv2d) else []
    assert sizes == [(32, 14, 14), (64, 7, 7)]
    kinds = [type(layer).__name__ for layer in encoder.triples]
    assert kinds == ["BatchNorm2d", "Conv2d", "ReLU", "Dropout"] * 2


def test_channels_and_depth_can_be_chosen() -> None:
    encoder = ConvEncoder((1, 32, 32), 4, channels=(5, 6, 7))
    convolutions = [layer for layer in encoder.triples if isinstance(layer, nn.Conv2d)]
    assert [(layer.in_channels, layer.out_channels) for layer in convolutions] == [(1, 5), (5, 6), (6, 7)]
    assert ConvDecoder(4, (1, 32, 32), channels=(5, 6, 7)).start == (7, 4, 4)


def test_context_is_accepted_by_both() -> None:
    shape, context = (1, 8, 8), torch.randn(3, 2)
    encoder, decoder = ConvEncoder(shape, 4, context=2).eval(), ConvDecoder(4, shape, context=2).eval()
    x, z = torch.randn(3, *shape), torch.randn(3, 4)
    assert encoder(x, context).shape == (3, 4)
    assert decoder(z, context).shape == (3, 64)
    assert not torch.equal(encoder(x, context), encoder(x, context + 1))
    assert not torch.equal(decoder(z, context), decoder(z, context + 1))


def test_dropout_acts_in_training_only() -> None:
    network, z = ConvDecoder(4, (1, 32, 32), dropout=0.5), torch.randn(3, 4)
    network.train()
    assert not torch.equal(network(z), network(z))
    network.eval()
    assert torch.equal(network(z), network(z))


def test_in_evaluation_rows_do_not_see_each_other() -> None:
    network, x = ConvEncoder((3, 9, 13), 4).eval(), torch.randn(5, 3, 9, 13)
    torch.testing.assert_close(network(x)[1:2], network(x[1:2]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "shape",
    [(1, 7, 8), (1, 8, 129), (2, 8, 8), (4, 16, 16), (64,), (8, 8)],
    ids=lambda shape: "x".join(map(str, shape)),
)
def test_other_shapes_are_refused_with_the_remedy(shape: tuple[int, ...]) -> None:
    for make in (lambda: ConvEncoder(shape, 4), lambda: ConvDecoder(4, shape)):
        with pytest.raises(CompositionError, match=r"1 or 3 channels, 8x8 to 128x128.*use --network mlp"):
            make()


@pytest.mark.parametrize("channels", [(), (4, 4, 4, 4)])
def test_more_halvings_than_the_image_has_are_refused(channels: tuple[int, ...]) -> None:
    with pytest.raises(CompositionError, match=r"halvings do not fit an image of 8x8; give fewer channels"):
        ConvEncoder((1, 8, 8), 4, channels=channels)


def test_an_unknown_activation_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'relu'"):
        ConvEncoder((1, 8, 8), 4, activation="relux")


def test_one_number_of_channels_needs_no_list() -> None:
    assert ConvDecoder(2, (1, 8, 8), channels=5).start == ConvDecoder(2, (1, 8, 8), channels=(5,)).start == (5, 4, 4)
    with pytest.raises(CompositionError, match="channels must be 1 or more"):
        ConvEncoder((1, 8, 8), 4, channels=0)
