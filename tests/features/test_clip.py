"""CLIP's layout, against the published network written out, on random weights."""

import pytest
import torch

from stylegan.features import open_detector
from stylegan.features.detector import bicubic

pytest.importorskip("torch_fidelity")

WIDTH, LAYERS, FEATURES, PATCH = 128, 2, 48, 32


@pytest.fixture(scope="module")
def tensors():
    """As published, narrower; all of them are exact in half precision."""
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape, around=0.0):
        return (around + 0.05 * torch.randn(shape, generator=generator)).half().float()

    tensors = {
        "logit_scale": torch.tensor(4.6),
        "text_model.final_layer_norm.weight": drawn(64),
        "visual_projection.weight": drawn(FEATURES, WIDTH),
        "vision_model.embeddings.class_embedding": drawn(WIDTH),
        "vision_model.embeddings.patch_embedding.weight": drawn(WIDTH, 3, PATCH, PATCH),
        "vision_model.embeddings.position_embedding.weight": drawn(1 + 49, WIDTH),
        "vision_model.embeddings.position_ids": torch.arange(50)[None],
    }
    norms = ["pre_layrnorm", "post_layernorm"]
    linear = {}
    for i in range(LAYERS):
        layer = f"encoder.layers.{i}"
        norms += [f"{layer}.layer_norm1", f"{layer}.layer_norm2"]
        linear |= {f"{layer}.self_attn.{which}_proj": (WIDTH, WIDTH) for which in ("q", "k", "v", "out")}
        linear |= {f"{layer}.mlp.fc1": (4 * WIDTH, WIDTH), f"{layer}.mlp.fc2": (WIDTH, 4 * WIDTH)}
    for name in norms:
        tensors[f"vision_model.{name}.weight"] = drawn(WIDTH, around=1)
        tensors[f"vision_model.{name}.bias"] = drawn(WIDTH)
    for name, shape in linear.items():
        tensors[f"vision_model.{name}.weight"] = drawn(*shape)
        tensors[f"vision_model.{name}.bias"] = drawn(shape[0])
    return tensors


def written_out(tensors, pixels):
    """The embedding, by matrices alone. Args: pixels [N,3,224,224], normalised."""

    def of(name):
        return tensors[f"vision_model.{name}"]

    def linear(x, name):
        return x @ of(f"{name}.weight").T + of(f"{name}.bias")

    def norm(x, name):
        x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()
        return x * of(f"{name}.weight") + of(f"{name}.bias")

    patches = pixels.unfold(2, PATCH, PATCH).unfold(3, PATCH, PATCH).permute(0, 2, 3, 1, 4, 5)
    x = patches.flatten(3).flatten(1, 2) @ of("embeddings.patch_embedding.weight").flatten(1).T
    x = torch.cat([of("embeddings.class_embedding").expand(len(x), 1, -1), x], 1)
    x = norm(x + of("embeddings.position_embedding.weight"), "pre_layrnorm")
    for i in range(LAYERS):
        layer = f"encoder.layers.{i}"
        y = norm(x, f"{layer}.layer_norm1")
        heads = []
        for part in range(0, WIDTH, 64):
            q, k, v = (linear(y, f"{layer}.self_attn.{which}_proj")[..., part : part + 64] for which in "qkv")
            heads.append((q @ k.transpose(1, 2) / 8).softmax(-1) @ v)
        x = x + linear(torch.cat(heads, -1), f"{layer}.self_attn.out_proj")
        hidden = linear(norm(x, f"{layer}.layer_norm2"), f"{layer}.mlp.fc1")
        x = x + linear(hidden * torch.sigmoid(1.702 * hidden), f"{layer}.mlp.fc2")
    return norm(x[:, 0], "post_layernorm") @ tensors["visual_projection.weight"].T


def test_features_are_those_of_the_published_network(tensors, tmp_path):
    torch.save(tensors, tmp_path / "net.bin")
    before = torch.random.get_rng_state()
    detector = open_detector("clip", path=tmp_path / "net.bin")
    assert torch.equal(torch.random.get_rng_state(), before)
    assert detector.num_features == FEATURES
    images = torch.randint(
        0, 256, (2, 3, 70, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073])[:, None, None]
    deviation = torch.tensor([0.26862954, 0.26130258, 0.27577711])[:, None, None]
    expected = written_out(tensors, (bicubic(images.float(), 224) / 255 - mean) / deviation)
    torch.testing.assert_close(detector.features(images), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "lacking", ["visual_projection.weight", "vision_model.encoder.layers.1.self_attn.k_proj.bias"]
)
def test_other_weights_are_one_line(tensors, tmp_path, lacking):
    torch.save({name: tensor for name, tensor in tensors.items() if name != lacking}, tmp_path / "net.bin")
    with pytest.raises(ValueError, match="it lacks") as refused:
        open_detector("clip", path=tmp_path / "net.bin")
    assert "\n" not in str(refused.value)
