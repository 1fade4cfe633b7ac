"""PyAV, which comes with an extra of the package."""

from types import ModuleType


def pyav(what: str, without: str = "") -> ModuleType:
    """The module `av`.

    Args: what: needs it, as `format=mp4`, for the message; without: what to do in its place.
    Raises: ValueError in one line that says how to install it.
    """
    try:
        import av
    except ImportError as error:
        way_out = f"; {without}" if without else ""
        raise ValueError(f"{what} needs PyAV: pip install 'stylegan-lightning[video]'{way_out}") from error
    return av
