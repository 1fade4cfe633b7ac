"""Noise and cutout."""

import torch

from stylegan.augment.corrupt import add_noise, cut_out


def test_noise_is_scaled_by_sample():
    images, noise = torch.zeros(2, 3, 4, 4), torch.ones(2, 3, 4, 4)
    out = add_noise(images, torch.tensor([[0.0], [0.5]]), noise)
    assert out[0].abs().max() == 0 and (out[1] == 0.5).all()


def test_cutout_against_a_loop():
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(6, 2, 7, 10, generator=generator) + 1
    size = torch.tensor([[0.0], [0.5], [0.5], [0.3], [1.0], [2.0]])
    center = torch.rand(6, 2, generator=generator)
    center[5] = 0.5
    out = cut_out(images, size, center)
    for n in range(6):
        for y in range(7):
            for x in range(10):
                in_x = abs((x + 0.5) / 10 - center[n, 0].item()) < size[n].item() / 2
                in_y = abs((y + 0.5) / 7 - center[n, 1].item()) < size[n].item() / 2
                expected = torch.zeros(2) if in_x and in_y else images[n, :, y, x]
                assert torch.equal(out[n, :, y, x], expected)


def test_centred_half_box_is_a_quarter_of_the_image():
    out = cut_out(torch.ones(1, 1, 16, 32), torch.tensor([[0.5]]), torch.tensor([[0.5, 0.5]]))
    assert (out == 0).sum() == 8 * 16 and (out[0, 0, 4:12, 8:24] == 0).all()
