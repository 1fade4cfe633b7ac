"""The augmentation pipe."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stylegan.augment.color import color_map, colors_of, has_alpha, recolor
from stylegan.augment.corrupt import add_noise, cut_out
from stylegan.augment.geometry import inverse_map, warp
from stylegan.augment.options import COLOR, GEOMETRY, STRENGTHS, Options
from stylegan.augment.parameters import (
    Parameters,
    draw_tables,
    open_gates,
    percentile_gates,
    percentile_tables,
    sampled,
    strengths,
)
from stylegan.augment.spectral import amplify_bands, band_gains, filter_bank, resampling_filter
from stylegan.machine.devices import uploaded


class AugmentPipe(nn.Module):
    """18 random transforms, each applied to a sample with probability strength · p.

    Geometry, colour, image filter, noise, cutout, in this order; twice differentiable in the images. The
    options are those of the public implementation; `Options` says what each means. Of 2 or 4 channels the last
    is alpha: it is moved and cut out with the picture, and nothing else. More than 4 get no colour transforms.

    Buffers: `p` float32 [], what the adaptive controller sets; assign a number or a tensor to it.
        `Hz_geom` [12], the filter of geometric resampling; `Hz_fbank` [4,43], the bands of the image filter.
    Raises: ValueError for an option out of range.
    Source: Karras et al. 2020 (StyleGAN2-ADA), section 2.2 and appendix B.
    """

    p: Tensor
    Hz_geom: Tensor
    Hz_fbank: Tensor

    def __init__(
        self,
        *,
        xflip: float = 0,
        rotate90: float = 0,
        xint: float = 0,
        xint_max: float = 0.125,
        scale: float = 0,
        rotate: float = 0,
        aniso: float = 0,
        xfrac: float = 0,
        scale_std: float = 0.2,
        rotate_max: float = 1,
        aniso_std: float = 0.2,
        xfrac_std: float = 0.125,
        brightness: float = 0,
        contrast: float = 0,
        lumaflip: float = 0,
        hue: float = 0,
        saturation: float = 0,
        brightness_std: float = 0.2,
        contrast_std: float = 0.5,
        hue_max: float = 1,
        saturation_std: float = 1,
        imgfilter: float = 0,
        imgfilter_bands: Sequence[float] = (1, 1, 1, 1),
        imgfilter_std: float = 1,
        noise: float = 0,
        cutout: float = 0,
        noise_std: float = 0.1,
        cutout_size: float = 0.5,
    ):
        super().__init__()
        self.options = Options(
            xflip=xflip,
            rotate90=rotate90,
            xint=xint,
            xint_max=xint_max,
            scale=scale,
            rotate=rotate,
            aniso=aniso,
            xfrac=xfrac,
            scale_std=scale_std,
            rotate_max=rotate_max,
            aniso_std=aniso_std,
            xfrac_std=xfrac_std,
            brightness=brightness,
            contrast=contrast,
            lumaflip=lumaflip,
            hue=hue,
            saturation=saturation,
            brightness_std=brightness_std,
            contrast_std=contrast_std,
            hue_max=hue_max,
            saturation_std=saturation_std,
            imgfilter=imgfilter,
            imgfilter_bands=imgfilter_bands,
            imgfilter_std=imgfilter_std,
            noise=noise,
            cutout=cutout,
            noise_std=noise_std,
            cutout_size=cutout_size,
        )
        # p, how often it had been written, and its copy on the device of the draws.
        self._fetched: tuple[Tensor, int, Tensor] | None = None
        self.register_buffer("p", torch.ones([]))
        self.register_buffer("Hz_geom", resampling_filter().float())
        self.register_buffer("Hz_fbank", filter_bank().float())

    def __setattr__(self, name: str, value) -> None:
        if name != "p" or "p" not in self._buffers:
            super().__setattr__(name, value)
            return
        value = torch.as_tensor(value).detach().reshape(())
        if value.device.type == "cpu" and not value >= 0:
            raise ValueError(f"p of the augmentation pipe is {value.item()}; set it to at least 0")
        # A copy: a controller's tensor stays the controller's, and the buffer stays on its device.
        self.p.copy_(value)
        if value.device.type == "cpu" != self.p.device.type:
            # Known here already.
            self._fetched = self.p, self.p._version, value.to(self.p.dtype)

    def extra_repr(self) -> str:
        return ", ".join(
            f"{name}={getattr(self.options, name):g}" for name in STRENGTHS if self.options.any_of([name])
        )

    def draw(
        self,
        n: int,
        shape: Sequence[int],
        generator: torch.Generator,
        picture_generator: torch.Generator | None = None,
    ) -> dict[str, Tensor]:
        """All random numbers of n samples; the same ones whatever p is.

        Args: shape [C,H,W] of one image; generator, whose device the numbers are made on; picture_generator for those
            of `noise`, None = the same.
        Returns: float32 tensors of n rows: `gate` [n,19] and `uniform` [n,10] in [0,1), `normal` [n,12], and
            `noise` [n,C,H,W] if that transform is in the pipe. Any choice of rows is the draws of those
            samples.
        """
        draws = draw_tables(n, generator)
        if self.options.noise > 0:
            of = generator if picture_generator is None else picture_generator
            draws["noise"] = torch.randn(n, *shape, generator=of, device=of.device, dtype=torch.float32)
        return draws

    def gates(self, draws: dict[str, Tensor]) -> dict[str, Tensor]:
        """Which transforms these draws apply at the present p.

        Returns: bool by name, [N,1]; `rotate` [N,2] before and after the stretch, `imgfilter` [N,4] bands."""
        uniform = draws["gate"]
        strength = strengths(self.options).to(uniform.device, non_blocking=True)
        return open_gates(uniform, strength, self._p_on(uniform.device))

    def _p_on(self, device: torch.device) -> Tensor:
        """p there. To fetch it from another device is to wait for it: done once each time that it was written."""
        if self.p.device == device or self.p.is_inference():
            return self.p.to(device)
        p, version, copy = self._fetched or (None, None, None)
        if p is not self.p or version != self.p._version or copy.device != device:
            copy = self.p.to(device)
            self._fetched = self.p, self.p._version, copy
        return copy

    def parameters_of(self, draws: dict[str, Tensor], dtype: torch.dtype = torch.float32) -> Parameters:
        """What these draws do to each sample at the present p, on the device of the draws."""
        uniform, normal = draws["uniform"].to(dtype), draws["normal"].to(dtype)
        return sampled(self.options, self.gates(draws), uniform, normal)

    def parameters_at(self, percentile: float, n: int, dtype: torch.dtype = torch.float32) -> Parameters:
        """What the deterministic form does to each of n samples: every transform that has a strength,
        whatever p is, with every random parameter at this percentile of its distribution (see
        `percentile_tables`)."""
        tables = percentile_tables(percentile)
        gates = percentile_gates(strengths(self.options))
        one = sampled(self.options, gates, tables["uniform"], tables["normal"])
        return Parameters(*(value.to(dtype).expand(n, -1) for value in one))

    def forward(
        self,
        images: Tensor,
        percentile: float | None = None,
        noise: Tensor | None = None,
        draws: dict[str, Tensor] | None = None,
    ) -> Tensor:
        """Augment a batch. The result for a sample depends on its own row of the draws alone.

        Args:
            images: [N,C,H,W], nominally -1..1.
            percentile: a number between 0 and 1 for the deterministic form.
            noise: [N,C,H,W], the unit-normal picture of the additive noise; None = that of the draws.
            draws: N rows of what `draw` returned; None = drawn from the global generator, for use by hand.
        Returns: [N,C,H,W].
        Raises: ValueError for images or draws of a wrong shape, percentile and draws together, or additive
            noise without its picture.
        """
        if images.ndim != 4 or not images.is_floating_point() or min(images.shape[2:]) < 2:
            raise ValueError(
                f"the pipe augments float images [N,C,H,W] of at least 2 px a side, got {images.dtype} "
                f"{list(images.shape)}; stylegan.images.to_float makes them from uint8"
            )
        n = images.shape[0]
        if percentile is not None:
            if draws is not None:
                raise ValueError("percentile= and draws= exclude each other; give one of them")
            parameters = self.parameters_at(percentile, n, images.dtype)
        else:
            if draws is None:
                draws = self.draw(n, images.shape[1:], torch.default_generator)
            rows = draws["gate"].shape[0]
            if rows != n:
                raise ValueError(f"{rows} rows of draws for {n} images; give each image its row")
            parameters = self.parameters_of(draws, images.dtype)
            noise = draws.get("noise") if noise is None else noise
        if noise is None and self.options.noise > 0:
            raise ValueError("additive noise needs a picture; pass noise=, a unit-normal [N,C,H,W]")
        return self._transform(images, parameters, noise)

    def _transform(self, images: Tensor, parameters: Parameters, noise: Tensor | None) -> Tensor:
        # A stage runs for all samples or, without a strength, for none: a look at which gates are open would
        # wait for the device. The small matrices are made where the draws are, and moved once.
        options = self.options
        if options.any_of(GEOMETRY):
            inverse = inverse_map(parameters, *images.shape[2:])
            images = warp(images, inverse, self.Hz_geom.to(images))
        if has_alpha(images.shape[1]):
            colors, alpha = images[:, :-1], images[:, -1:]
            images = torch.cat([self._revalue(colors, parameters, noise), alpha], dim=1)
        else:
            images = self._revalue(images, parameters, noise)
        if options.cutout > 0:
            size, center = uploaded(parameters.cutout, images), uploaded(parameters.cutout_center, images)
            images = cut_out(images, size, center)
        return images

    def _revalue(self, images: Tensor, parameters: Parameters, noise: Tensor | None) -> Tensor:
        """The transforms that give pixels new values: [N,C,H,W] without alpha, and as much of the noise."""
        options, channels = self.options, images.shape[1]
        if options.any_of(COLOR) and colors_of(channels) == channels:
            matrix, offset = color_map(parameters, channels)
            images = recolor(images, uploaded(matrix, images), uploaded(offset, images))
        if options.imgfilter > 0:
            gains = uploaded(band_gains(parameters), images)
            images = amplify_bands(images, gains, self.Hz_fbank.to(images))
        if options.noise > 0:
            noise = uploaded(noise, images)[:, :channels]
            images = add_noise(images, uploaded(parameters.noise, images), noise)
        return images
