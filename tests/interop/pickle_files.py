"""Pickles of NVIDIA's layouts with networks of ours in them, written without NVIDIA's programs.

`python -m tests.interop.pickle_files FOLDER` writes the smallest of each layout, for the study that mutates them.
"""

import io
import pickle
import sys
import warnings
from pathlib import Path

import numpy as np
import torch

from stylegan.networks import Discriminator, Generator

SMALL_G = dict(resolution=8, channels=1, z_dim=4, w_dim=4, mapping_layers=1, channel_base=16, channel_max=4)
SMALL_D = dict(resolution=8, channels=1, channel_base=16, channel_max=4)
G_OPTIONS = {
    "z_dim": 4,
    "c_dim": 0,
    "w_dim": 4,
    "img_resolution": 8,
    "img_channels": 1,
    "mapping_kwargs": {"num_layers": 1},
    "synthesis_kwargs": {"channel_base": 16, "channel_max": 4, "conv_clamp": 256, "num_fp16_res": 0},
}
D_OPTIONS = {
    "c_dim": 0,
    "img_resolution": 8,
    "img_channels": 1,
    "channel_base": 16,
    "channel_max": 4,
    "conv_clamp": 256,
}


class Name:
    """A class or function that a pickle names, whether it exists or not."""

    def __init__(self, module, name):
        self.module, self.name = module, name


class Call:
    """The opcode REDUCE: a function by name, and its arguments; with `state`, BUILD after it."""

    def __init__(self, name, *args, state=None):
        self.name, self.args, self.state = name, args, state


class New:
    """The opcode NEWOBJ without arguments, and BUILD with `state`."""

    def __init__(self, name, state):
        self.name, self.state = name, state


class Writer(pickle._Pickler):
    """Python's pickler, which also writes the names above, and tensors as torch does."""

    def save(self, obj, save_persistent_id=True):
        match obj:
            case Name():
                self.write(pickle.GLOBAL + f"{obj.module}\n{obj.name}\n".encode())
            case Call():
                self.save(obj.name)
                self.save(obj.args)
                self.write(pickle.REDUCE)
                self._build(obj.state)
            case New():
                self.save(obj.name)
                self.save(())
                self.write(pickle.NEWOBJ)
                self._build(obj.state)
            case torch.Tensor():
                self.save(tensor_call(obj))
            case np.ndarray():
                self.save(array_call(obj))
            case np.generic():
                self.save(Call(Name("numpy.core.multiarray", "scalar"), dtype_call(obj.dtype), obj.tobytes()))
            case _:
                super().save(obj, save_persistent_id)

    def _build(self, state):
        if state is not None:
            self.save(state)
            self.write(pickle.BUILD)


def pickled(value, protocol=3):
    content = io.BytesIO()
    Writer(content, protocol).dump(value)
    return content.getvalue()


def tensor_call(tensor):
    stream = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):  # of typed storages, which these files have
        torch.save(tensor.detach().clone().storage(), stream, _use_new_zipfile_serialization=False)
    storage = Call(Name("torch.storage", "_load_from_bytes"), stream.getvalue())
    shape, stride = tuple(tensor.shape), tuple(tensor.contiguous().stride())
    hooks = Call(Name("collections", "OrderedDict"))
    return Call(Name("torch._utils", "_rebuild_tensor_v2"), storage, 0, shape, stride, False, hooks)


def dtype_call(dtype):
    state = (3, "<", None, None, None, -1, -1, 0)
    return Call(Name("numpy", "dtype"), dtype.str[1:], False, True, state=state)


def array_call(array):
    empty = (Name("numpy", "ndarray"), (0,), b"b")
    state = (1, array.shape, dtype_call(array.dtype), False, np.ascontiguousarray(array).tobytes())
    return Call(Name("numpy.core.multiarray", "_reconstruct"), *empty, state=state)


def module_call(module, class_name, **attributes):
    """A module as `torch_utils.persistence` pickles it."""
    state = {
        "training": False,
        "_parameters": {
            name: Call(Name("torch._utils", "_rebuild_parameter"), tensor_call(value), True, {})
            for name, value in module._parameters.items()
            if value is not None
        },
        "_buffers": dict(module._buffers),
        "_non_persistent_buffers_set": set(module._non_persistent_buffers_set),
        "_modules": {
            name: module_call(child, type(child).__name__) for name, child in module._modules.items()
        },
        **attributes,
    }
    record = {
        "type": "class",
        "version": 6,
        "module_src": "raise SystemExit('the source was run')\n",
        "class_name": class_name,
        "state": state,
    }
    return Call(Name("torch_utils.persistence", "_reconstruct_persistent_obj"), record)


def small_networks():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return Generator(**SMALL_G), Discriminator(**SMALL_D)


def snapshot(generator, discriminator=None, *, g_options=G_OPTIONS, d_options=D_OPTIONS, **more):
    g = module_call(generator, "Generator", _init_args=(), _init_kwargs=g_options)
    content = {"training_set_kwargs": {"path": "a.zip", "resolution": 8}, "G_ema": g, **more}
    if discriminator is not None:
        content["D"] = module_call(discriminator, "Discriminator", _init_args=(), _init_kwargs=d_options)
    return content


def legacy_network(static, variables, *, version=4, builder="training.networks.G_main", components=None):
    state = {
        "version": version,
        "name": "network",
        "static_kwargs": static,
        "components": components or {},
        "build_module_src": "raise SystemExit('the source was run')\n",
        "build_func_name": builder,
        "variables": list(variables.items()),
    }
    return New(Name("dnnlib.tflib.network", "Network"), state)


def small_legacy(**changes):
    static = {"resolution": 8, "num_channels": 1, "fmap_base": 8, "fmap_max": 2, "label_size": 0}
    variables = {
        "dlatent_avg": np.zeros(2, np.float32),
        "lod": np.float32(0),
        "4x4/Conv/weight": np.ones((3, 3, 2, 2), "f4"),
    }
    return tuple(legacy_network(static, variables, **changes) for _ in range(3))


def small_files():
    """Name -> content of the smallest file of each layout."""
    generator, discriminator = small_networks()
    stream, weights = io.BytesIO(), generator.mapping.state_dict()
    torch.save(weights, stream, _use_new_zipfile_serialization=False)
    head = module_call(discriminator.b4, "Discriminator", _init_args=(), _init_kwargs=D_OPTIONS)
    return {
        "snapshot3.pkl": pickled(snapshot(generator.mapping), 3),
        "snapshot4.pkl": pickled({"D": head, "augment_pipe": None}, 4),
        "legacy.pkl": pickled(small_legacy()),
        "stream.pt": stream.getvalue(),
    }


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in small_files().items():
        assert len(content) < 12_000, name
        (folder / name).write_bytes(content)


if __name__ == "__main__":
    main()
