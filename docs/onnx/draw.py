"""Draw images from an exported network: `python draw.py foxes.onnx --seeds 0 1 2 --truncation 0.7 --out fakes`.

Needs numpy, onnxruntime and Pillow, and nothing of the project that trained the network. A seed gives the image that
it gives there.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image


def latent(seed: int, z_dim: int) -> np.ndarray:
    """z of a seed, float32 [1,Z]."""
    return np.random.RandomState(seed).randn(1, z_dim).astype(np.float32)


def label_row(text: str | None, about: dict[str, str]) -> np.ndarray:
    """A class by name or number, or the one number of a label that is none → float32 [1,K]."""
    width, names = int(about["c_dim"]), json.loads(about["label_names"])
    known = ", ".join(names) or ("any number" if width == 1 else f"0 to {width - 1}")
    choices = f"--label is one of {known}"
    if text is None:
        sys.exit(f"this network has labels: {choices}")
    try:
        if width == 1 and text not in names:
            return np.array([[float(text)]], np.float32)
        number = names.index(text) if text in names else int(text)
    except ValueError:
        number = -1
    if not 0 <= number < width:
        sys.exit(f"--label {text}: {choices}")
    return np.eye(width, dtype=np.float32)[[number]]


def picture(image: np.ndarray) -> Image.Image:
    """float32 [C,H,W], nominally from -1 to 1 → what can be saved; of more than 4 channels the first 3."""
    image = image[:3] if len(image) > 4 else image
    pixels = np.clip(image * np.float32(127.5) + np.float32(128), 0, 255).astype(np.uint8)
    # Pillow knows grey, grey + alpha, RGB and RGBA by the shape; grey has no axis of channels.
    return Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw images from an exported network.")
    parser.add_argument("network", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--truncation", type=float, default=1.0)
    parser.add_argument("--label")
    parser.add_argument("--out", type=Path, default=Path("."))
    chosen = parser.parse_args()
    session = onnxruntime.InferenceSession(chosen.network, providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    if about.get("part") != "whole" or about["noise"] == "input":
        sys.exit(
            f"{chosen.network} is not a whole network: export it with part=whole and noise=const or none"
        )
    feed = {"truncation": np.array(chosen.truncation, np.float32)}
    if int(about["c_dim"]):
        feed["label"] = label_row(chosen.label, about)
    chosen.out.mkdir(parents=True, exist_ok=True)
    for seed in chosen.seeds:
        (images,) = session.run(["image"], feed | {"z": latent(seed, int(about["z_dim"]))})
        file = chosen.out / f"seed{seed:04d}.png"
        picture(images[0]).save(file)
        print(file)


if __name__ == "__main__":
    main()
