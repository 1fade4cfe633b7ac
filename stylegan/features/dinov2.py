"""DINOv2: features learned without labels, which agree with people better than Inception's."""

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from stylegan.features.detector import Detector, bicubic
from stylegan.features.weights import WeightFile, Weights, fit

# Its publisher states no digits, so it is not downloaded by itself.
DINOV2_FILE = WeightFile(
    name="dinov2_vitl14_pretrain.pth",
    url="https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth",
    sha256="",
)

_PX, _PATCH_PX, _HEAD_WIDTH = 224, 14, 64
_SIZES = {384: "vits14", 768: "vitb14", 1024: "vitl14"}
# Of pixels in 0..1.
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class DinoV2Detector(Detector):
    """The normalised class token of DINOv2: 1024 wide of ViT-L/14, 768 of B, 384 of S; those without registers.

    The network is torchvision's vision transformer: the published scales of its residual branches are multiplied
    into the weights before them, which is the same function. Written from the published file's layout and not
    compared with numbers of the original program.

    Source: Oquab et al. 2023; Stein et al. 2023 for its use in metrics (with ViT-L/14).
    Raises: ValueError, of one line, for weights of another network.
    """

    resize = "224x224 px, bicubic, antialiased"

    def __init__(self, weights: Weights):
        super().__init__(_transformer(weights))
        self.num_features = self.network.hidden_dim
        self.name = f"dinov2-{_SIZES[self.num_features]}"
        self.checksum = weights.sha256

    def _features(self, images: Tensor) -> Tensor:
        x = bicubic(images.to(torch.float32), _PX) / 255
        mean, deviation = (
            torch.tensor(values, device=x.device)[:, None, None] for values in (_MEAN, _DEVIATION)
        )
        return self.network((x - mean) / deviation)


def _transformer(weights: Weights) -> nn.Module:
    tensors = {name: tensor.to(torch.float32) for name, tensor in weights.tensors.items()}
    tokens = tensors.get("pos_embed", torch.zeros(0))
    width = tokens.shape[-1]
    if tokens.ndim != 3 or width not in _SIZES or "blocks.0.ls1.gamma" not in tensors:
        raise ValueError(
            f"{weights.path} holds no ViT-S, B or L of DINOv2 without registers; fetch {DINOV2_FILE.url}"
        )
    layers = len({name.split(".")[1] for name in tensors if name.startswith("blocks.")})
    with torch.device("meta"):
        network = torchvision.models.VisionTransformer(
            image_size=_PX,
            patch_size=_PATCH_PX,
            num_layers=layers,
            num_heads=width // _HEAD_WIDTH,
            hidden_dim=width,
            mlp_dim=4 * width,
        )
    network.heads = nn.Identity()
    try:
        fit(network, weights, _renamed(tensors, layers))
    except KeyError as error:
        raise ValueError(f"{weights.path} holds other weights: it lacks {error.args[0]}") from None
    return network


def _renamed(tensors: dict[str, Tensor], layers: int) -> dict[str, Tensor]:
    """The published tensors under torchvision's names, scales multiplied in. Raises: KeyError where one lacks."""
    renamed = {
        "class_token": tensors["cls_token"],
        "encoder.pos_embedding": _resized_positions(tensors["pos_embed"], _PX // _PATCH_PX),
        "conv_proj.weight": tensors["patch_embed.proj.weight"],
        "conv_proj.bias": tensors["patch_embed.proj.bias"],
    }
    for part in ("weight", "bias"):
        renamed[f"encoder.ln.{part}"] = tensors[f"norm.{part}"]
        for i in range(layers):
            ours, theirs = f"encoder.layers.encoder_layer_{i}", f"blocks.{i}"
            first, second = (tensors[f"{theirs}.ls{j}.gamma"] for j in (1, 2))
            if part == "weight":
                first, second = first[:, None], second[:, None]
            renamed[f"{ours}.ln_1.{part}"] = tensors[f"{theirs}.norm1.{part}"]
            renamed[f"{ours}.ln_2.{part}"] = tensors[f"{theirs}.norm2.{part}"]
            renamed[f"{ours}.self_attention.in_proj_{part}"] = tensors[f"{theirs}.attn.qkv.{part}"]
            renamed[f"{ours}.self_attention.out_proj.{part}"] = first * tensors[f"{theirs}.attn.proj.{part}"]
            renamed[f"{ours}.mlp.0.{part}"] = tensors[f"{theirs}.mlp.fc1.{part}"]
            renamed[f"{ours}.mlp.3.{part}"] = second * tensors[f"{theirs}.mlp.fc2.{part}"]
    return renamed


def _resized_positions(positions: Tensor, grid: int) -> Tensor:
    """[1, 1 + n², W] → [1, 1 + grid², W]: those of the patches interpolated, as DINOv2 does for another size."""
    old = round((positions.shape[1] - 1) ** 0.5)
    if old == grid:
        return positions
    patches = positions[:, 1:].unflatten(1, (old, old)).permute(0, 3, 1, 2)
    # The tenth is part of the published model: with it the new places lie a little closer together.
    patches = F.interpolate(patches, scale_factor=((grid + 0.1) / old,) * 2, mode="bicubic")
    return torch.cat([positions[:, :1], patches.flatten(2).transpose(1, 2)], 1)
