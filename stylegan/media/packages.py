"""PyAV, which comes with an extra of the package."""

from types import ModuleType


def pyav(what: str) -> ModuleType:
    """The module `av`.

    Args: what: needs it, as `format=mp4`, for the message.
    Raises: ValueError in one line that says how to install it.
    """
    try:
        import av
    except ImportError as error:
        raise ValueError(
            f"{what} needs PyAV: pip install 'stylegan-lightning[video]'; format=gif, webp, apng and png do without it"
        ) from error
    return av
