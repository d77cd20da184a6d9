"""Paper B's autoencoder (Alqahtani 2024, Table 1 and equations 1 to 17): 512x512x3 pixels -> 256 numbers -> 512x512x3 pixels.

    pixels [N,3,512,512] in 0..1
      conv 3x3 128 ReLU, max pool 2, conv 3x3 64 ReLU, max pool 2, conv 3x3 32 ReLU, conv 3x3 stride 2 32 ReLU   [N,32,64,64]
      flatten 131,072, dense 256 ReLU (equation 11)                                                            -> code [N,256]
      dense 131,072 ReLU (equation 12), reshape                                                                  [N,32,64,64]
      transposed conv 3x3 stride 2 32 ReLU, the same 64 ReLU, nearest upsampling 2                              [N,64,512,512]
      transposed conv 3x3 128 ReLU, transposed conv 3x3 3 ReLU (equation 17)                        -> pixels [N,3,512,512]

Table 1 leaves the decoder's dense layer 256 -> 131,072 out (its row 9 says 256, its row 10 reshapes 131,072 values): equation 12 has it,
and half of all parameters are there. The first convolution has 128 x (3 x 3 x 3 + 1) = 3,584 parameters; equation 3 says 3,488.

    python -m latentwire_training.hd512       (prints parameters and operations by layer)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIDE, CODE, CHANNELS, CELLS = 512, 256, 32, 64  # pixels a side, numbers of the code, channels and cells a side before the dense layer
FEATURES = CHANNELS * CELLS * CELLS
CELL = SIDE // CELLS  # pixels a side that one cell stands for


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 128, 3, padding=1)
        self.conv2 = nn.Conv2d(128, 64, 3, padding=1)
        self.conv3 = nn.Conv2d(64, 32, 3, padding=1)
        self.conv4 = nn.Conv2d(32, CHANNELS, 3, stride=2, padding=1)
        self.dense = nn.Linear(FEATURES, CODE)

    def features(self, pixels: Tensor) -> Tensor:
        """Everything before the dense layer: [N,3,512,512] -> [N,32,64,64]. (ReLU after pooling is ReLU before it, and cheaper.)"""
        x = F.relu(F.max_pool2d(self.conv1(pixels), 2))
        x = F.relu(F.max_pool2d(self.conv2(x), 2))
        return F.relu(self.conv4(F.relu(self.conv3(x))))

    def forward(self, pixels: Tensor) -> Tensor:
        return F.relu(self.dense(self.features(pixels).flatten(1)))


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(CODE, FEATURES)
        self.conv1 = nn.ConvTranspose2d(CHANNELS, 32, 3, stride=2, padding=1, output_padding=1)
        self.conv2 = nn.ConvTranspose2d(32, 64, 3, stride=2, padding=1, output_padding=1)
        self.conv3 = nn.ConvTranspose2d(64, 128, 3, padding=1)
        self.out = nn.ConvTranspose2d(128, 3, 3, padding=1)

    def expand(self, code: Tensor) -> Tensor:
        """The dense layer: [N,256] -> [N,32,64,64]."""
        return F.relu(self.dense(code)).view(-1, CHANNELS, CELLS, CELLS)

    def tail(self, features: Tensor) -> Tensor:
        """Everything after it: [N,32,h,w] -> [N,3,8h,8w]; whole pictures have h = w = 64."""
        x = F.relu(self.conv2(F.relu(self.conv1(features))))
        x = F.interpolate(x, scale_factor=2, mode="nearest")
        return F.relu(self.out(F.relu(self.conv3(x))))

    def forward(self, code: Tensor) -> Tensor:
        return self.tail(self.expand(code))


@dataclass(frozen=True)
class Layer:
    half: str
    name: str
    output: tuple[int, int, int]  # height, width, channels; a dense layer's values stand as channels
    parameters: int
    operations: int  # multiplications and additions for one picture, two a product, zeros between strides not counted


def layers() -> list[Layer]:
    """Table 1 with its parameters and operations: every layer that has any."""
    found = []
    places = {"conv1": 512, "conv2": 256, "conv3": 128, "conv4": 64, "dense": 1}, {"dense": 1, "conv1": 128, "conv2": 256, "conv3": 512, "out": 512}
    with torch.device("meta"):
        halves = [("encoder", Encoder(), places[0]), ("decoder", Decoder(), places[1])]
    for half, net, sides in halves:
        for name, module in net.named_children():
            side, weight = sides[name], module.weight
            if isinstance(module, nn.Linear):
                outputs, applied = weight.shape[0], 1
            else:
                outputs = weight.shape[1] if isinstance(module, nn.ConvTranspose2d) else weight.shape[0]
                # A transposed convolution applies its kernel once for each input position, an ordinary one for each output position.
                applied = (side // module.stride[0]) ** 2 if isinstance(module, nn.ConvTranspose2d) else side**2
            parameters = weight.numel() + module.bias.numel()
            found.append(Layer(half, name, (side, side, outputs), parameters, 2 * applied * weight.numel()))
    return found


def totals() -> dict[str, dict[str, int]]:
    """Parameters and operations of each half."""
    return {
        half: {key: sum(getattr(layer, key) for layer in layers() if layer.half == half) for key in ("parameters", "operations")}
        for half in ("encoder", "decoder")
    }


def summary() -> str:
    """The table in Markdown: what the paper's word "lightweight" stands beside."""
    lines = ["| half | layer | output | parameters | operations a picture |", "|---|---|---|---|---|"]
    for layer in layers():
        shape = "x".join(str(n) for n in layer.output)
        lines.append(f"| {layer.half} | {layer.name} | {shape} | {layer.parameters:,} | {layer.operations / 1e9:.3f} GFLOP |")
    for half, sums in totals().items():
        lines.append(f"| {half} | all | | {sums['parameters']:,} | {sums['operations'] / 1e9:.2f} GFLOP |")
    both = {key: sum(sums[key] for sums in totals().values()) for key in ("parameters", "operations")}
    lines.append(f"| both | all | | {both['parameters']:,} | {both['operations'] / 1e9:.2f} GFLOP |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(summary(), end="")
