"""Networks: what parts own. A network maps `[N, *in]` (and optional context [N, C]) to `[N, out]`."""

from nelbo.networks.conv import ConvDecoder, ConvEncoder
from nelbo.networks.conv1d import Conv1dDecoder, Conv1dEncoder
from nelbo.networks.mlp import MLP, GatedMLP, Linear, Network, apply, apply_folded
from nelbo.networks.names import halves, names, options
from nelbo.networks.residual import ResidualMLP
from nelbo.networks.resnet import ResNetDecoder, ResNetEncoder

__all__ = [
    "MLP",
    "Conv1dDecoder",
    "Conv1dEncoder",
    "ConvDecoder",
    "ConvEncoder",
    "GatedMLP",
    "Linear",
    "Network",
    "ResNetDecoder",
    "ResNetEncoder",
    "ResidualMLP",
    "apply",
    "apply_folded",
    "halves",
    "names",
    "options",
]
