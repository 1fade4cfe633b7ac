"""Schema of augmentation: how strongly images are augmented, and by which transforms; one line a key."""

# ruff: noqa: E501  One line a key is worth more than the right margin.

from stylegan.configuration.keys import Key, Resume, Section

# fmt: off
AUGMENTATION = (
    Section("Strength of augmentation", "ada", resume=Resume.RISKY, keys=(
        Key("ada.mode",   str,          "set by the group: adaptive | fixed | none"),
        Key("ada.target", float,        "mean sign of D(real) to hold, from -1 to 1; no limit of p", alias=("target", "ada_target")),
        Key("ada.p_init", float,        "probability p at the start; with ada=fixed, all the time", alias=("p", "augment_p", "aug_prob")),
        Key("ada.p_max",  float | None, "largest p; null = no limit"),
        Key("ada.kimg",   float,        "thousands of images in which p can go from 0 to 1", "kimg", alias=("ada_kimg", "ada_length")),
        Key("ada.interval_iterations", int, "from one adjustment of p to the next", "iterations"),
    )),
    Section("Transforms of augmentation: a strength multiplies p", "augpipe", resume=Resume.RISKY, keys=(
        Key("augpipe.xflip",           float, "strength: mirror left and right"),
        Key("augpipe.rotate90",        float, "strength: quarter turns"),
        Key("augpipe.xint",            float, "strength: shift by whole pixels"),
        Key("augpipe.xint_max",        float, "largest shift", "of the side"),
        Key("augpipe.scale",           float, "strength: one factor for both sides"),
        Key("augpipe.rotate",          float, "strength: turn by any angle"),
        Key("augpipe.aniso",           float, "strength: stretch one side, shrink the other"),
        Key("augpipe.xfrac",           float, "strength: shift by fractions of a pixel"),
        Key("augpipe.scale_std",       float, "standard deviation of scale", "octaves"),
        Key("augpipe.rotate_max",      float, "largest angle, either way", "of half a turn"),
        Key("augpipe.aniso_std",       float, "standard deviation of aniso", "octaves"),
        Key("augpipe.xfrac_std",       float, "standard deviation of xfrac", "of the side"),
        Key("augpipe.brightness",      float, "strength: brighter or darker"),
        Key("augpipe.contrast",        float, "strength: more contrast or less"),
        Key("augpipe.lumaflip",        float, "strength: dark to light, hue kept"),
        Key("augpipe.hue",             float, "strength: turn about the grey axis"),
        Key("augpipe.saturation",      float, "strength: more colour or less"),
        Key("augpipe.brightness_std",  float, "standard deviation of brightness", "of the range -1 to 1"),
        Key("augpipe.contrast_std",    float, "standard deviation of contrast", "octaves"),
        Key("augpipe.hue_max",         float, "largest turn, either way", "of half a turn"),
        Key("augpipe.saturation_std",  float, "standard deviation of saturation", "octaves"),
        Key("augpipe.imgfilter",       float, "strength: gains of frequency bands"),
        Key("augpipe.imgfilter_bands", list[float], "strength of each band, low to high"),
        Key("augpipe.imgfilter_std",   float, "standard deviation of the gains", "octaves"),
        Key("augpipe.noise",           float, "strength: normal noise, added"),
        Key("augpipe.cutout",          float, "strength: a square turned grey"),
        Key("augpipe.noise_std",       float, "standard deviation of the noise", "of the range -1 to 1"),
        Key("augpipe.cutout_size",     float, "side of the square", "of the side"),
    )),
)
# fmt: on
