"""Canvas: images of another size than the network's, parts cut out of images, and feature maps of single layers."""

import copy
import re
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from stylegan.sizes import Size, size_text

CANVAS_MODES = ("tile", "stretch", "mirror")
# What one image may have; a slip of the finger must not fill the memory.
LARGEST_SIDE_PX = 16_384
MOST_PX = 2**26

_LAYER = re.compile(
    r"(?P<name>b\d+\.(?:conv0|conv1|torgb))(?::(?P<channels>\d{1,6}(?:,\d{1,6}){0,2}))?", re.ASCII
)
# So many standard deviations of a feature are the range from grey to white.
_CONTRAST = 2.5


def width_and_height(text: str | int, *, key: str) -> Size:
    """`1024x512`, width x height as of screens, or one number for a square → (height, width).

    Raises: ValueError that begins with the key.
    """
    match = re.fullmatch(r"(\d{1,6})(?:\s*[x×]\s*(\d{1,6}))?", str(text).strip(), re.ASCII | re.IGNORECASE)
    width, height = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if width < 1 or height < 1:
        raise ValueError(f"{key} must be width x height in px, as in 1024x512, got {text}")
    if max(width, height) > LARGEST_SIDE_PX or width * height > MOST_PX:
        raise ValueError(
            f"{key}={text}: at most {LARGEST_SIDE_PX:,} px a side and {MOST_PX:,} px in all can be drawn"
        )
    return height, width


def cut_middle(images: Tensor, size: Size) -> Tensor:
    """The middle of images [...,H,W] in another size, (height, width) at most theirs."""
    top, left = (images.shape[-2] - size[0]) // 2, (images.shape[-1] - size[1]) // 2
    return images[..., top : top + size[0], left : left + size[1]]


def on_canvas(generator: nn.Module, size: Size, mode: str) -> nn.Module:
    """A copy of a generator that draws images of another size, or larger by less than one place of its constant.

    The network is convolutional: what has a size is the learned constant that it grows from, and the constant noise.
    Both are continued beyond their edges, from the middle to all sides.

    Args:
        size: (height, width) in px.
        mode: "tile" repeats them, "mirror" repeats them turned around, "stretch" interpolates between their places,
            the noise with its standard deviation restored.
    Raises: ValueError for an unknown mode.
    """
    if mode not in CANVAS_MODES:
        raise ValueError(f"canvas_mode must be one of {', '.join(CANVAS_MODES)}, got {mode!r}")
    other = copy.deepcopy(generator)
    synthesis = other.synthesis
    first = synthesis.get_submodule(synthesis.block_names[0])
    height, width = first.const.shape[1:]
    scale = generator.size[0] // height
    rows, columns = -(-size[0] // scale), -(-size[1] // scale)
    with torch.no_grad():
        first.const = nn.Parameter(_continued(first.const, (rows, columns), 1, mode), requires_grad=False)
        layers = []
        for name, (layer_height, _) in synthesis.noise_layers:
            factor = layer_height // height
            layer = synthesis.get_submodule(name)
            noise = _continued(layer.noise_const[None], (rows, columns), factor, mode)[0]
            if mode == "stretch" and noise.numel() > 1:
                noise = noise * (layer.noise_const.std() / noise.std().clamp(min=1e-8))
            layer.noise_const = noise
            layers.append((name, (rows * factor, columns * factor)))
    synthesis.noise_layers = layers
    other.size = (rows * scale, columns * scale)
    return other


def _continued(map_: Tensor, cells: Size, factor: int, mode: str) -> Tensor:
    """map_ [C,h·factor,w·factor] → [C, cells·factor]."""
    size = (cells[0] * factor, cells[1] * factor)
    if mode == "stretch":
        stretched = nn.functional.interpolate(map_[None], size=size, mode="bilinear", align_corners=False)
        return stretched[0].contiguous()
    for side, dim in enumerate((1, 2)):
        length = map_.shape[dim]
        # In whole places of the constant, so that all layers are continued from the same place.
        before = (cells[side] - length // factor) // 2 * factor
        index = torch.arange(size[side], device=map_.device) - before
        if mode == "tile":
            index = index % length
        else:
            index = index % (2 * length)
            index = torch.where(index < length, index, 2 * length - 1 - index)
        map_ = map_.index_select(dim, index)
    return map_.contiguous()


def layer_lines(generator: nn.Module) -> Iterator[str]:
    """The layers whose feature maps can be drawn, a line each: name, size, channels."""
    for name, size, channels in layers_of(generator):
        yield f"{name:<14}{size_text(size):>10} px  {channels} channels"


def layers_of(generator: nn.Module) -> list[tuple[str, Size, int]]:
    """(name, (height, width), channels) of each layer, in the order in which they compute."""
    synthesis = generator.synthesis
    first = synthesis.get_submodule(synthesis.block_names[0]).const.shape[1:]
    found = []
    for place, block in enumerate(synthesis.block_names):
        size = (first[0] << place, first[1] << place)
        for layer, module in synthesis.get_submodule(block).named_children():
            if layer in ("conv0", "conv1", "torgb"):
                found.append((f"{block}.{layer}", size, len(module.bias)))
    return found


class LayerImages(nn.Module):
    """A synthesis network whose images are feature maps of one layer, [N,C,h,w], C = 1 or 3, at the layer's size.

    Each channel is shifted and scaled by its mean and standard deviation in the image of the average w, once for the
    network, so that images can be compared and videos do not flicker: 2.5 deviations lead from grey to white.

    Args:
        generator: on the device that computes.
        layer: `b32.conv1`, whose first 3 channels become red, green and blue; `b32.conv1:17` or `b32.conv1:4,0,9`
            names the channels.
    Raises: ValueError for a layer or channel that there is not.
    """

    def __init__(self, generator: nn.Module, layer: str):
        super().__init__()
        match = _LAYER.fullmatch(layer.strip())
        layers = {name: (size, channels) for name, size, channels in layers_of(generator)}
        if match is None or match["name"] not in layers:
            names = [*layers]
            raise ValueError(
                f"layer={layer}: this network has {', '.join(names[:2])}, ... {names[-1]}; layer=list shows all, and"
                f" {names[0]}:0,1,2 is some of a layer's channels"
            )
        self.size, count = layers[match["name"]]
        chosen = (
            [*range(3)][:count]
            if match["channels"] is None
            else [int(n) for n in match["channels"].split(",")]
        )
        # Two channels would be grey and alpha.
        chosen = chosen[:1] if len(chosen) == 2 and match["channels"] is None else chosen
        if max(chosen) >= count or len(chosen) == 2:
            raise ValueError(
                f"layer={layer}: name one or three channels of 0 to {count - 1}, as in {match['name']}:0"
            )
        self.channels = chosen
        self.synthesis = generator.synthesis
        self.noise_layers = self.synthesis.noise_layers
        self.layer = match["name"]
        average = generator.mapping.w_avg.expand(4, generator.num_ws, -1)
        with torch.no_grad():
            features = self._features(average, "const", None)[0]
        deviation = features.std(dim=(1, 2), correction=0)[:, None, None]
        self.register_buffer("shift", features.mean(dim=(1, 2))[:, None, None])
        # A channel that is nowhere active stays grey.
        self.register_buffer("scale", torch.where(deviation > 1e-6, _CONTRAST * deviation, 1.0))

    def forward(
        self, ws: Tensor, noise_mode: str = "const", noise: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """As `SynthesisNetwork`."""
        return (self._features(ws, noise_mode, noise) - self.shift) / self.scale

    def _features(self, ws: Tensor, noise_mode: str, noise: Mapping[str, Tensor] | None) -> Tensor:
        kept: list[Tensor] = []
        module = self.synthesis.get_submodule(self.layer)
        handle = module.register_forward_hook(lambda _, inputs, output: kept.append(output))
        try:
            self.synthesis(ws, noise_mode=noise_mode, noise=noise)
        finally:
            handle.remove()
        return kept[0][:, self.channels].to(torch.float32)


def check_crop(crop: Size, size: Size, *, text: Sequence[str] | str) -> None:
    """Raises: ValueError where a part would be larger than the image."""
    if crop[0] > size[0] or crop[1] > size[1]:
        raise ValueError(
            f"crop={text}: the images are {size[1]}x{size[0]} px, width x height; nothing larger can be cut out"
        )
