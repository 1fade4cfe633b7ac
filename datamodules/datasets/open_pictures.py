"""From a path to the files of a set."""

import zipfile
from pathlib import Path

from datamodules.datasets.decoding import ARRAY_SUFFIXES, MOST_PICTURE_CHANNELS, suffixes_for
from datamodules.datasets.folder import FolderFiles
from datamodules.datasets.zip_file import ZipFiles


def open_pictures(path: str | Path, channels: int = 3) -> FolderFiles | ZipFiles:
    """The pictures of a folder or a zip; which of them it is shows in the file, not in its name.

    Raises: ValueError where there is neither, or no file in it that can hold so many channels.
    """
    path = Path(path).expanduser()
    suffixes = suffixes_for(channels)
    try:
        if path.is_dir():
            files = FolderFiles(path, suffixes)
        elif not path.exists():
            raise ValueError(
                f"data.path does not exist: {path} (looked from {Path.cwd()}); "
                f"give a folder or a zip of pictures, data.path=pictures.zip"
            )
        elif zipfile.is_zipfile(path):
            files = ZipFiles(path, suffixes)
        else:
            raise ValueError(
                f"data.path is neither a folder nor a whole zip: {path}; "
                f"put the pictures into a folder or a zip, or fetch the zip again"
            )
    except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
        raise ValueError(
            f"data.path cannot be opened: {path} ({error}); repair it or give another"
        ) from error
    if not files.names:
        raise ValueError(f"data.path has no pictures: {path}; {_what_is_read(files, channels)}")
    return files


def _what_is_read(files: FolderFiles | ZipFiles, channels: int) -> str:
    if channels > MOST_PICTURE_CHANNELS:
        return f"with data.channels={channels} these are .npy files of uint8 [H,W,{channels}]"
    if any(name.lower().endswith(ARRAY_SUFFIXES) for name in files.others):
        return f"its .npy files are read with data.channels={MOST_PICTURE_CHANNELS + 1} or more; else give PNG or JPEG"
    return (
        f"give a folder or a zip with files that end in {' '.join(suffixes_for(channels))} "
        f"(hidden ones do not count)"
    )
