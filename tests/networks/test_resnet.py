"""Residual encoder and decoder: every size from 8 to 128, their blocks, and what lies outside."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nelbo.errors import CompositionError, ConfigError
from nelbo.networks import ResNetDecoder, ResNetEncoder
from nelbo.networks.residual import Residual

SIZES = [(8, 8), (9, 9), (9, 13), (15, 17), (28, 20), (31, 32), (8, 128), (127, 128)]
EVERY_SIZE = pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
COLOURS = pytest.mark.parametrize("colours", [1, 3])


@COLOURS
@EVERY_SIZE
def test_encoder_and_decoder_fit_every_image_size(size: tuple[int, int], colours: int) -> None:
    shape = (colours, *size)
    channels = (4,) * (int(min(size)).bit_length() - 3)  # the default depth, narrow
    encoder, decoder = ResNetEncoder(shape, 6, channels), ResNetDecoder(3, shape, 2, channels)
    with torch.no_grad():
        features = encoder(torch.randn(2, *shape))
        images = decoder(features[:, :3])
    assert features.shape == (2, 6)
    assert encoder.out_features == 6
    assert images.shape == (2, 2 * colours * size[0] * size[1])
    assert decoder.out_features == images.shape[1]


@pytest.mark.parametrize("side", range(8, 129, 3))
def test_squares_from_8_to_128_can_be_built(side: int) -> None:
    decoder = ResNetDecoder(1, (1, side, side), channels=(2,) * (1 if side < 16 else 2))
    with torch.no_grad():
        assert decoder(torch.zeros(1, 1)).shape == (1, side * side)


@COLOURS
@pytest.mark.parametrize("parameters", [1, 2, 3])
def test_the_output_is_ordered_by_parameter_then_channel(parameters: int, colours: int) -> None:
    # The last convolution's channels are the parameters' channels, one after the other: its bias shows where.
    decoder = ResNetDecoder(2, (colours, 9, 13), parameters, channels=4)
    last = decoder.layers[-1]
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(torch.arange(parameters * colours))
        out = decoder(torch.randn(1, 2)).view(parameters, colours, 9, 13)
    for p in range(parameters):
        for c in range(colours):
            assert bool((out[p, c] == p * colours + c).all())


def test_blocks_halve_the_image_and_keep_it_in_turn() -> None:
    encoder = ResNetEncoder((1, 28, 28), 4, blocks=2)
    x, sizes = torch.zeros(1, 1, 28, 28), []
    for layer in encoder.layers:
        x = layer(x)
        sizes += [tuple(x.shape[1:])] if isinstance(layer, Residual) else []
    assert sizes == [(32, 14, 14), (32, 14, 14), (64, 7, 7), (64, 7, 7)]
    decoder = ResNetDecoder(4, (1, 28, 28), blocks=2)
    x, sizes = torch.zeros(1, *decoder.start), []
    for layer in decoder.layers:
        x = layer(x)
        sizes += [tuple(x.shape[1:])] if isinstance(layer, Residual) else []
    assert sizes == [(64, 7, 7), (32, 14, 14), (32, 14, 14), (32, 28, 28)]


def test_a_block_that_adds_nothing_is_its_shortcut() -> None:
    """Means of 2x2 pixels downwards, pixels repeated upwards, as NumPy has them."""
    encoder, decoder = ResNetEncoder((1, 8, 10), 2, channels=4), ResNetDecoder(2, (1, 8, 10), channels=4)
    down, up = encoder.layers[1], decoder.layers[0]
    assert isinstance(down, Residual)
    assert isinstance(up, Residual)
    x = torch.randn(3, 4, 8, 10)
    with torch.no_grad():
        for block in (down, up):
            for parameter in block.layers[-1].parameters():  # type: ignore[index]
                parameter.zero_()
        means = x.numpy().reshape(3, 4, 4, 2, 5, 2).mean((3, 5))
        torch.testing.assert_close(down(x), torch.from_numpy(means))
        repeated = means.repeat(2, axis=2).repeat(2, axis=3)
        torch.testing.assert_close(up(torch.from_numpy(means)), torch.from_numpy(repeated))


def test_context_is_accepted_by_both() -> None:
    shape, context = (1, 8, 8), torch.randn(3, 2)
    encoder, decoder = ResNetEncoder(shape, 4, 4, context=2), ResNetDecoder(4, shape, channels=4, context=2)
    x, z = torch.randn(3, *shape), torch.randn(3, 4)
    assert encoder(x, context).shape == (3, 4)
    assert decoder(z, context).shape == (3, 64)
    assert not torch.equal(encoder(x, context), encoder(x, context + 1))
    assert not torch.equal(decoder(z, context), decoder(z, context + 1))


def test_rows_do_not_see_each_other_even_in_training() -> None:
    network, x = ResNetEncoder((3, 9, 13), 4, channels=8).train(), torch.randn(5, 3, 9, 13)
    torch.testing.assert_close(network(x)[1:2], network(x[1:2]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 4, 12, 32, 100])
def test_no_norm_has_groups_of_fewer_than_four_channels_unless_there_are_fewer(channels: int) -> None:
    norms = [m for m in ResNetEncoder((1, 8, 8), 2, channels).modules() if isinstance(m, nn.GroupNorm)]
    assert norms
    assert all(norm.num_channels // norm.num_groups >= min(4, channels) for norm in norms)


def test_the_smallest_map_still_depends_on_the_image() -> None:
    """Down to a single pixel, where a norm over single channels would be constant."""
    network = ResNetEncoder((1, 8, 8), 3, channels=(8, 8, 8))
    out = network(torch.randn(4, 1, 8, 8)).detach()
    assert float(out.std(0).min()) > 1e-3


def test_dropout_acts_in_training_only() -> None:
    network, z = ResNetDecoder(4, (1, 8, 8), channels=8, dropout=0.5), torch.randn(3, 4)
    assert not torch.equal(network(z), network(z))
    network.eval()
    assert torch.equal(network(z), network(z))


@pytest.mark.parametrize("shape", [(1, 7, 8), (1, 8, 129), (2, 8, 8), (64,)], ids=lambda s: "x".join(map(str, s)))
def test_other_shapes_are_refused_with_the_remedy(shape: tuple[int, ...]) -> None:
    for make in (lambda: ResNetEncoder(shape, 4), lambda: ResNetDecoder(4, shape)):
        with pytest.raises(CompositionError, match=r"1 or 3 channels, 8x8 to 128x128.*use --network mlp"):
            make()


def test_too_many_halvings_no_channels_and_no_blocks_are_refused() -> None:
    with pytest.raises(CompositionError, match=r"halvings do not fit an image of 8x8; give fewer channels"):
        ResNetEncoder((1, 8, 8), 4, channels=(4, 4, 4, 4))
    with pytest.raises(CompositionError, match=r"channels must be 1 or more"):
        ResNetEncoder((1, 8, 8), 4, channels=0)
    with pytest.raises(ConfigError, match=r"1 block a scale or more, but 0"):
        ResNetDecoder(4, (1, 8, 8), blocks=0)
