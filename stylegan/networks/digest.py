"""Digest of a network: which weights these are, whatever their file is called."""

import hashlib
import json
from collections.abc import Mapping
from itertools import chain

import torch
from torch import Tensor, nn


def weights_sha256(network: nn.Module) -> str:
    """SHA-256, in hexadecimal digits, of all parameters and buffers: names, shapes, dtypes and values.

    It identifies a network: every run has files of the same names, and a file may change under its name. The same on
    every device; one tensor at a time is copied to the CPU.
    """
    return tensors_sha256(dict(chain(network.named_parameters(), network.named_buffers())))


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """As `weights_sha256`, of a state dict."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().to("cpu").contiguous()
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy())
    return digest.hexdigest()
