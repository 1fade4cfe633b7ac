"""DINOv2's layout, against the published block written out, on random weights."""

import pytest
import torch
import torch.nn.functional as F

from stylegan.features import open_detector
from stylegan.features.detector import bicubic
from stylegan.features.dinov2 import _resized_positions

WIDTH, LAYERS, GRID = 384, 2, 37


@pytest.fixture(scope="module")
def tensors():
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape, scale=0.05, around=0.0):
        return around + scale * torch.randn(shape, generator=generator)

    tensors = {
        "cls_token": drawn(1, 1, WIDTH),
        "pos_embed": drawn(1, 1 + GRID**2, WIDTH),
        "mask_token": drawn(1, WIDTH),
        "patch_embed.proj.weight": drawn(WIDTH, 3, 14, 14),
        "patch_embed.proj.bias": drawn(WIDTH),
        "norm.weight": drawn(WIDTH, around=1),
        "norm.bias": drawn(WIDTH),
    }
    for i in range(LAYERS):
        shapes = {"attn.qkv": (3 * WIDTH, WIDTH), "attn.proj": (WIDTH, WIDTH)}
        shapes |= {"mlp.fc1": (4 * WIDTH, WIDTH), "mlp.fc2": (WIDTH, 4 * WIDTH)}
        for name, shape in shapes.items():
            tensors[f"blocks.{i}.{name}.weight"] = drawn(*shape)
            tensors[f"blocks.{i}.{name}.bias"] = drawn(shape[0])
        for name in ("norm1", "norm2"):
            tensors[f"blocks.{i}.{name}.weight"] = drawn(WIDTH, around=1)
            tensors[f"blocks.{i}.{name}.bias"] = drawn(WIDTH)
        for name in ("ls1.gamma", "ls2.gamma"):
            tensors[f"blocks.{i}.{name}"] = drawn(WIDTH, scale=0.5)
    return tensors


def written_out(tensors, pixels):
    """The class token, by matrices alone. Args: pixels [N,3,224,224], normalised."""

    def linear(x, name):
        return x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]

    def norm(x, name):
        x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, correction=0, keepdim=True) + 1e-6).sqrt()
        return x * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]

    patches = pixels.unfold(2, 14, 14).unfold(3, 14, 14).permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)
    x = patches @ tensors["patch_embed.proj.weight"].flatten(1).T + tensors["patch_embed.proj.bias"]
    x = torch.cat([tensors["cls_token"].expand(len(x), -1, -1), x], 1)
    x = x + _resized_positions(tensors["pos_embed"], 16)
    for i in range(LAYERS):
        queries, keys, values = linear(norm(x, f"blocks.{i}.norm1"), f"blocks.{i}.attn.qkv").chunk(3, -1)
        heads = []
        for q, k, v in zip(queries.split(64, -1), keys.split(64, -1), values.split(64, -1), strict=True):
            heads.append((q @ k.transpose(1, 2) / 8).softmax(-1) @ v)
        x = x + tensors[f"blocks.{i}.ls1.gamma"] * linear(torch.cat(heads, -1), f"blocks.{i}.attn.proj")
        hidden = F.gelu(linear(norm(x, f"blocks.{i}.norm2"), f"blocks.{i}.mlp.fc1"))
        x = x + tensors[f"blocks.{i}.ls2.gamma"] * linear(hidden, f"blocks.{i}.mlp.fc2")
    return norm(x, "norm")[:, 0]


def test_features_are_those_of_the_published_block(tensors, tmp_path):
    torch.save(tensors, tmp_path / "small.pth")
    detector = open_detector("dinov2", path=tmp_path / "small.pth")
    assert (detector.name, detector.num_features) == ("dinov2-vits14", WIDTH)
    images = torch.randint(
        0, 256, (2, 3, 60, 300), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )
    mean, deviation = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    expected = written_out(tensors, (bicubic(images.float(), 224) / 255 - mean) / deviation)
    torch.testing.assert_close(detector.features(images), expected, rtol=1e-4, atol=1e-4)


def test_positions_of_another_grid_keep_their_places():
    """Positions that grow along an axis still do, from the same values at both ends."""
    rows = torch.linspace(0, 1, GRID)[:, None].expand(GRID, GRID).reshape(1, -1, 1)
    resized = _resized_positions(torch.cat([torch.full((1, 1, 1), 7.0), rows], 1), 16)
    assert resized.shape == (1, 257, 1) and resized[0, 0, 0] == 7
    grid = resized[0, 1:, 0].reshape(16, 16)
    assert (grid - grid[:, :1]).abs().max() < 1e-5
    torch.testing.assert_close(grid[:, 0], (torch.arange(16) + 0.5) / 16, rtol=0, atol=0.03)
    assert torch.equal(_resized_positions(resized, 16), resized)


@pytest.mark.parametrize(
    "lacking", ["pos_embed", "blocks.1.ls1.gamma", "blocks.1.attn.qkv.bias", "cls_token"]
)
def test_other_weights_are_one_line(tensors, tmp_path, lacking):
    torch.save({name: tensor for name, tensor in tensors.items() if name != lacking}, tmp_path / "net.pth")
    with pytest.raises(ValueError, match="net.pth") as refused:
        open_detector("dinov2", path=tmp_path / "net.pth")
    assert "\n" not in str(refused.value)
