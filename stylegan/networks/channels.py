"""How wide and how high the blocks are."""

FIRST_BLOCK_PX = 4


def block_resolutions(resolution: int) -> list[int]:
    """Side of each block in pixels, lowest first: 32 → [4, 8, 16, 32].

    Raises: ValueError unless the resolution is a power of two from 8 to 2048.
    """
    if not 8 <= resolution <= 2048 or resolution & (resolution - 1):
        raise ValueError(f"resolution must be a power of two from 8 to 2048, got {resolution}")
    sides = [FIRST_BLOCK_PX]
    while sides[-1] < resolution:
        sides.append(sides[-1] * 2)
    return sides


def block_channels(resolution: int, *, channel_base: int, channel_max: int) -> int:
    """min(channel_base / resolution, channel_max), at least 1.

    Raises: ValueError where `channel_base` leaves no channel at this resolution.
    """
    channels = min(channel_base // resolution, channel_max)
    if channels < 1:
        raise ValueError(
            f"channel_base {channel_base} leaves no channel at {resolution} px; it must be at least {resolution}"
        )
    return channels
