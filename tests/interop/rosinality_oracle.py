"""The functions that state dicts in rosinality's layout stand for, in plain torch, written from the papers' formulas.

Equalised learning rate: Karras et al. 2018, section 4.1. Modulation and demodulation: Karras et al. 2020, equations 1
and 3. Only the networks that the layout has: skip generators, resnet discriminators. It shares no code with ours.
"""

import torch
import torch.nn.functional as F

LR_MULTIPLIER = 0.01


def _act(x, bias):
    shape = (1, -1) + (1,) * (x.ndim - 2)
    return F.leaky_relu(x + bias.view(shape), 0.2) * 2**0.5


def _filtered(x, kernel, before, after, up=1, down=1):
    """Zeros between samples, padding, convolution with a kernel, every down-th sample."""
    n, c, h, w = x.shape
    if up > 1:
        spread = x.new_zeros(n, c, h, up, w, up)
        spread[:, :, :, 0, :, 0] = x
        x = spread.reshape(n, c, h * up, w * up)
    x = F.pad(x, [before, after, before, after])
    taps = kernel.flip(0, 1).expand(c, 1, *kernel.shape)
    return F.conv2d(x, taps, groups=c)[:, :, ::down, ::down]


def _affine(weights, name, w):
    weight = weights[f"{name}.weight"]
    return w @ weight.t() / weight.shape[1] ** 0.5 + weights[f"{name}.bias"]


def _modulated(weights, name, x, w, *, demodulate=True, up=False):
    weight = weights[f"{name}.weight"][0]
    size = weight.shape[-1]
    styles = _affine(weights, f"{name}.modulation", w)
    images = []
    for image, style in zip(x, styles, strict=True):
        own = weight * style[None, :, None, None] / (weight.shape[1] * size * size) ** 0.5
        if demodulate:
            own = own * (own.square().sum((1, 2, 3), keepdim=True) + 1e-8).rsqrt()
        if up:
            image = F.conv_transpose2d(image[None], own.transpose(0, 1), stride=2)
            image = _filtered(image, weights[f"{name}.blur.kernel"], 1, 1)
        else:
            image = F.conv2d(image[None], own, padding=size // 2)
        images.append(image)
    return torch.cat(images)


def mapped(weights, z):
    """z [N,Z] → w [N,W]."""
    w = z * (z.square().mean(1, keepdim=True) + 1e-8).rsqrt()
    layer = 1
    while (weight := weights.get(f"style.{layer}.weight")) is not None:
        w = w @ weight.t() * (LR_MULTIPLIER / weight.shape[1] ** 0.5)
        w = _act(w, weights[f"style.{layer}.bias"] * LR_MULTIPLIER)
        layer += 1
    return w


def drawn(weights, ws):
    """ws [N,L,W] → images [N,3,R,R] with the noise of the file."""

    def layer(name, x, w, number, up=False):
        x = _modulated(weights, f"{name}.conv", x, w, up=up)
        x = x + weights[f"{name}.noise.weight"] * weights[f"noises.noise_{number}"]
        return _act(x, weights[f"{name}.activate.bias"])

    def rgb(name, x, w, image):
        x = _modulated(weights, f"{name}.conv", x, w, demodulate=False) + weights[f"{name}.bias"]
        if image is None:
            return x
        return x + _filtered(image, weights[f"{name}.upsample.kernel"], 2, 1, up=2)

    x = weights["input.input"].expand(len(ws), -1, -1, -1)
    x = layer("conv1", x, ws[:, 0], 0)
    image = rgb("to_rgb1", x, ws[:, 1], None)
    block = 0
    while f"to_rgbs.{block}.bias" in weights:
        first = 2 * block
        x = layer(f"convs.{first}", x, ws[:, first + 1], first + 1, up=True)
        x = layer(f"convs.{first + 1}", x, ws[:, first + 2], first + 2)
        image = rgb(f"to_rgbs.{block}", x, ws[:, first + 3], image)
        block += 1
    return image


def judged(weights, images, group=4):
    """images [N,3,R,R] → logits [N,1]."""

    def conv(name, x, *, down=False):
        weight = weights[f"{name}.weight"]
        size = weight.shape[-1]
        weight = weight / (weight.shape[1] * size * size) ** 0.5
        return F.conv2d(x, weight, stride=2) if down else F.conv2d(x, weight, padding=size // 2)

    x = _act(conv("convs.0.0", images), weights["convs.0.1.bias"])
    block = 1
    while f"convs.{block}.skip.1.weight" in weights:
        name = f"convs.{block}"
        y = _act(conv(f"{name}.conv1.0", x), weights[f"{name}.conv1.1.bias"])
        y = conv(f"{name}.conv2.1", _filtered(y, weights[f"{name}.conv2.0.kernel"], 2, 2), down=True)
        y = _act(y, weights[f"{name}.conv2.2.bias"])
        skip = conv(f"{name}.skip.1", _filtered(x, weights[f"{name}.skip.0.kernel"], 1, 1), down=True)
        x = (y + skip) / 2**0.5
        block += 1
    group = min(group, len(x))
    spread = x.view(group, -1, *x.shape[1:]).var(0, unbiased=False).add(1e-8).sqrt().mean((1, 2, 3))
    x = torch.cat([x, spread.repeat(group).view(-1, 1, 1, 1).expand(-1, 1, *x.shape[2:])], dim=1)
    x = _act(conv("final_conv.0", x), weights["final_conv.1.bias"]).flatten(1)
    weight = weights["final_linear.0.weight"]
    x = _act(x @ weight.t() / weight.shape[1] ** 0.5, weights["final_linear.0.bias"])
    return _affine(weights, "final_linear.1", x)
