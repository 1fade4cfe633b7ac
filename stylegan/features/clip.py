"""CLIP: features learned from images and their captions."""

import torch
from torch import Tensor, nn

from stylegan.features.detector import Detector, bicubic
from stylegan.features.weights import WeightFile, Weights

# OpenAI's own file is a program, which is not run here; this is its publisher's copy as a table of tensors. No
# digits of it are stated, so it is not downloaded by itself.
CLIP_FILE = WeightFile(
    name="clip-vit-base-patch32.bin",
    url="https://huggingface.co/openai/clip-vit-base-patch32/resolve/main/pytorch_model.bin",
    sha256="",
)

# Of pixels in 0..1.
_MEAN, _DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
# Parts outside of the layers: OpenAI's names, and those of the file.
_PARTS = {
    "class_embedding": "embeddings.class_embedding",
    "conv1.weight": "embeddings.patch_embedding.weight",
    "positional_embedding": "embeddings.position_embedding.weight",
    "ln_pre.weight": "pre_layrnorm.weight",
    "ln_pre.bias": "pre_layrnorm.bias",
    "ln_post.weight": "post_layernorm.weight",
    "ln_post.bias": "post_layernorm.bias",
}
# Modules of a layer, each with a weight and a bias.
_MODULES = {
    "attn.out_proj": "self_attn.out_proj",
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}


class ClipDetector(Detector):
    """The image embedding of CLIP ViT-B/32, 512 wide, by torch-fidelity's port.

    Weights are rounded to half precision, as OpenAI published them, and computed with in single precision. Written
    from the published file's layout and not compared with numbers of the original program.

    Source: Radford et al. 2021.
    Raises: ValueError, of one line, without torch-fidelity, or for weights of another network.
    """

    name = "clip-vit-b-32"
    resize = "224x224 px, bicubic, antialiased"

    def __init__(self, weights: Weights):
        super().__init__(_port(weights))
        self.num_features = self.network.output_dim
        self.checksum = weights.sha256

    def _features(self, images: Tensor) -> Tensor:
        x = bicubic(images.to(torch.float32), self.network.input_resolution) / 255
        mean, deviation = (
            torch.tensor(values, device=x.device)[:, None, None] for values in (_MEAN, _DEVIATION)
        )
        return self.network((x - mean) / deviation)


def _port(weights: Weights) -> nn.Module:
    try:
        from torch_fidelity.feature_extractor_clip import build_model
    except ImportError:
        raise ValueError(
            "the detector clip needs torch-fidelity; install it with pip install 'stylegan-lightning[metrics]'"
        ) from None
    try:
        tensors = _renamed(weights.tensors)
    except KeyError as error:
        raise ValueError(
            f"{weights.path} holds other weights: it lacks {error.args[0]}; fetch {CLIP_FILE.url}"
        ) from None
    try:
        # Building it draws initial weights, which the training's random numbers must not notice.
        with torch.random.fork_rng(devices=[]):
            return build_model(tensors, torch.float32).visual
    except RuntimeError as error:
        first = " ".join(str(error).split())[:160]
        raise ValueError(f"{weights.path} holds weights of another network: {first}") from None


def _renamed(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of the image's half under OpenAI's names. Raises: KeyError where one lacks."""
    theirs = "vision_model."
    renamed = {f"visual.{name}": tensors[theirs + other] for name, other in _PARTS.items()}
    # A row times a matrix, where a linear layer has it the other way round.
    renamed["visual.proj"] = tensors["visual_projection.weight"].T
    renamed["text_projection"] = renamed["visual.proj"]  # the port reads the width of the features from it
    layers = {name.split(".")[3] for name in tensors if name.startswith(f"{theirs}encoder.layers.")}
    for layer in layers:
        ours, other = f"visual.transformer.resblocks.{layer}", f"{theirs}encoder.layers.{layer}"
        for part in ("weight", "bias"):
            rows = [tensors[f"{other}.self_attn.{which}_proj.{part}"] for which in "qkv"]
            renamed[f"{ours}.attn.in_proj_{part}"] = torch.cat(rows)
            for module, name in _MODULES.items():
                renamed[f"{ours}.{module}.{part}"] = tensors[f"{other}.{name}.{part}"]
    return renamed
