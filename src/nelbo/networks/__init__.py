"""Networks: what parts own. A network maps `[N, *in]` (and optional context [N, C]) to `[N, out]`."""

from nelbo.networks.conv import ConvDecoder, ConvEncoder
from nelbo.networks.mlp import MLP, GatedMLP, Linear, Network

__all__ = ["MLP", "ConvDecoder", "ConvEncoder", "GatedMLP", "Linear", "Network"]
