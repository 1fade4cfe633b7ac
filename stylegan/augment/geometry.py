"""Geometric transforms: one affine map a sample, and resampling by it without aliasing.

Coordinates are pixels from the centre of the image, y down. The map is the inverse one: it takes a pixel of
the result to the place in the input that its value comes from.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from stylegan.augment.affine import compose, quarter_turns, rotation, scaling, translation
from stylegan.augment.parameters import Parameters
from stylegan.ops import upfirdn2d, upsample2d

# Input pixels that resampling takes in around the mapped image.
REACH_PX = 6
# Maps that land on whole pixels (flips, quarter turns, shifts) must not need one more for a rounding error.
ROUNDING_PX = 1e-3


def inverse_map(parameters: Parameters, height: int, width: int) -> Tensor:
    """Output to input, in centred pixels: [N,3,3].

    Flip, quarter turn, integer shift, scale, rotation, stretch, second rotation and fractional shift happen
    to the image in this order; inverted one by one, they stand here from left to right.
    """
    p = parameters
    one = torch.ones_like(p.scale[:, 0])
    xint_x, xint_y = p.xint.unbind(1)
    xfrac_x, xfrac_y = p.xfrac.unbind(1)
    shrink, stretch = (-p.scale[:, 0]).exp2(), p.aniso[:, 0].exp2()
    return compose(
        scaling(1 - 2 * p.xflip[:, 0], one),
        quarter_turns(p.rotate90[:, 0]),
        translation(-(xint_x * width).round(), -(xint_y * height).round()),
        scaling(shrink, shrink),
        rotation(p.rotate[:, 0]),
        scaling(1 / stretch, stretch),
        rotation(p.rotate[:, 1]),
        translation(-xfrac_x * width, -xfrac_y * height),
    )


def margins(inverse: Tensor, height: int, width: int) -> Tensor:
    """Pixels by which each sample reaches past its left, right, top and bottom side: whole numbers [N,4].

    At most side − 1, all that a reflection has to offer: what lies further out is black."""
    needs = []
    for axis, side in ((0, width), (1, height)):
        a, b, shift = inverse[:, axis].unbind(1)
        # The corner pixel that the map takes furthest.
        furthest = a.abs() * ((width - 1) / 2) + b.abs() * ((height - 1) / 2)
        overhang = furthest - (side - 1) / 2
        for past in (overhang - shift, overhang + shift):
            needs.append((past + (REACH_PX - ROUNDING_PX)).ceil().clamp(0, side - 1))
    return torch.stack(needs, dim=1)


def warp(images: Tensor, inverse: Tensor, taps: Tensor) -> Tensor:
    """Move each image by its map: mirror the edges, upsample by 2, sample bilinearly, downsample by 2.

    Each sample sees its own margins, also where another one widens the padding of the batch: what lies beyond
    them is zeroed. So its result is the same in any company. (The reference shows it the batch's margins: the
    rim of a reduced image, filtered from further out than a margin allows for, then depends on the
    neighbours.)

    Args: images [N,C,H,W]; inverse [N,3,3], wherever it was made; taps [k], low-pass, k even.
    Returns: [N,C,H,W].
    """
    height, width = images.shape[2:]
    own = margins(inverse, height, width)
    rows = own.tolist()  # waits for the device, if the maps are made there
    pads = [int(max(side)) for side in zip(*rows, strict=True)]
    uneven = any(row != rows[0] for row in rows)
    rim = taps.numel() // 2 - 1  # what downsampling takes in around the image, in pixels of the finer lattice
    fine_size = (2 * (height + pads[2] + pads[3]), 2 * (width + pads[0] + pads[1]))
    theta = fine_map(inverse, pads, fine_size)
    if inverse.device != images.device:
        theta, own = (t.to(images.device, non_blocking=True) for t in (theta, own))

    x = F.pad(images, pads, mode="reflect")
    if uneven:
        x = x * _inside(own, pads, x.shape[2:], 1)
    x = _per_plane(x, lambda planes: upsample2d(planes, taps))
    if uneven:
        # The filter has left its tails outside.
        x = x * _inside(own, pads, fine_size, 2)
    grid = _sampling_grid(theta, (2 * (height + rim), 2 * (width + rim)))
    x = F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return _per_plane(x, lambda planes: upfirdn2d(planes, taps, down=2, flip_filter=True))


def fine_map(inverse: Tensor, pads: Sequence[int], fine_size: Sequence[int]) -> Tensor:
    """The map on the lattice upsampled by 2: centred output pixels + ½ to the coordinates of `grid_sample`.

    Pixel 2i of that lattice is pixel i of the image, so u = 2x − ½ in centred pixels; and padding by m0 and
    m1 moves the centre by (m0 − m1)/2. With x' = A x + t this gives u' = A (u + ½) + 2t + m0 − m1 − ½.

    Args: inverse [N,3,3]; pads left, right, top, bottom; fine_size (height, width), padded and upsampled.
    Returns: [N,2,3], a row for x and one for y.
    """
    rows = []
    for axis in (0, 1):
        a, b, shift = inverse[:, axis].unbind(1)
        shift = 2 * shift + (pads[2 * axis] - pads[2 * axis + 1] - 0.5)
        # grid_sample calls the outer edges of the image −1 and 1.
        rows.append(torch.stack([a, b, shift], dim=1) * (2 / fine_size[1 - axis]))
    return torch.stack(rows, dim=1)


def _sampling_grid(theta: Tensor, size: tuple[int, int]) -> Tensor:
    """[N,2,3] of `fine_map` and the (height, width) of the result -> [N, height, width, 2]."""
    y, x = (torch.arange(n, device=theta.device, dtype=theta.dtype) + (1 - n / 2) for n in size)
    # Sums instead of a matrix product, see `affine.compose`.
    along_x = theta[:, None, :, 0] * x[:, None]
    along_y = theta[:, None, :, 1] * y[:, None] + theta[:, None, :, 2]
    return along_x[:, None, :, :] + along_y[:, :, None, :]


def _inside(own: Tensor, pads: Sequence[int], size: Sequence[int], spacing: int) -> Tensor:
    """1 where a pixel of the padded image, upsampled by `spacing`, is within the sample's margins, else 0.

    Args: own [N,4] margins; pads those of the batch; size (height, width).  Returns: [N,1,height,width]."""
    masks = []
    for axis in (0, 1):
        before, after = own[:, 2 * axis, None], own[:, 2 * axis + 1, None]
        end = size[1 - axis]
        pixel = torch.arange(end, device=own.device)
        first = (pads[2 * axis] - before) * spacing
        last = end - (pads[2 * axis + 1] - after) * spacing
        masks.append((pixel >= first) & (pixel < last))
    mask_x, mask_y = masks
    return (mask_y[:, None, :, None] & mask_x[:, None, None, :]).to(own.dtype)


def _per_plane(images: Tensor, resample: Callable[[Tensor], Tensor]) -> Tensor:
    """Resample [N,C,H,W] with samples and channels side by side: with three channels alone the depthwise
    convolution inside has nothing to vectorise over (several times slower on a CPU)."""
    n, c, h, w = images.shape
    planes = resample(images.reshape(1, n * c, h, w))
    # The convolution leaves the planes interleaved, which masking and sampling are slow on.
    return planes.contiguous().reshape(n, c, *planes.shape[2:])
