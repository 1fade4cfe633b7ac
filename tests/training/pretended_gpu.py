"""A GPU that is none: tensors that say they are on one and are computed on the CPU.

What only shows on a GPU can so be seen on any machine: which branch is taken there, whether tensors of two devices
meet, and each time that the host asks for a value and would have to wait for the device.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

GPU = torch.device("cuda", 0)

_ATEN = torch.ops.aten
_READS = {
    _ATEN._local_scalar_dense.default,
    _ATEN.equal.default,
    _ATEN.nonzero.default,
    _ATEN.masked_select.default,
    _ATEN._unique2.default,
}


class OnGpu(Tensor):
    """Holds a CPU tensor, which it computes with. `reads` names what the host has requested."""

    held: Tensor
    reads: list[str] = []

    @staticmethod
    def __new__(cls, held: Tensor):
        # By its own device: autograd, which is not written in Python, would look for the GPU.
        return torch.Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=held.device,
        )

    def __init__(self, held: Tensor):
        self.held = held

    def __repr__(self) -> str:
        return f"OnGpu({self.held!r})"

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        # Zeros that autograd makes for a missing gradient are made on the CPU, as all is that it sees.
        in_backward = torch._C._current_graph_task_id() != -1
        for tensor in tree_leaves((args, kwargs)):
            if (
                isinstance(tensor, Tensor)
                and not isinstance(tensor, OnGpu)
                and tensor.ndim
                and not in_backward
            ):
                raise RuntimeError(f"{func} got a tensor on the CPU next to one on the GPU")
        masks = func is _ATEN.index.Tensor and any(i is not None and i.dtype == torch.bool for i in args[1])
        if func in _READS or masks:
            cls.reads.append(str(func))
        result = tree_map(_raised, func(*tree_map(_held, args), **tree_map(_held, kwargs)))
        return return_and_correct_aliasing(func, args, kwargs, result)


class PretendedGpu(TorchFunctionMode):
    """Answers for `OnGpu` tensors what a GPU's would, and moves tensors there and back."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func == torch.Tensor.device.__get__ and isinstance(args[0], OnGpu):
            return GPU
        if func == torch.Tensor.is_cuda.__get__:
            return isinstance(args[0], OnGpu)
        if func is torch.Tensor.pin_memory:
            args[0].is_laid_fast = True
            return args[0]
        if func in (torch.Tensor.cpu, torch.Tensor.to):
            return _moved(func, args[0], list(args[1:]), kwargs)
        if kwargs.get("device") is not None and torch.device(kwargs["device"]).type == "cuda":
            # Where such a tensor is filled from a CPU's, a real one would be copied.
            return _raised(func(*map(_held, args), **{**kwargs, "device": "cpu"}))
        return func(*args, **kwargs)


class _Upload(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return OnGpu(x.clone())

    @staticmethod
    def backward(ctx, grad):
        return _held(grad)


class _Download(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.held.clone()

    @staticmethod
    def backward(ctx, grad):
        return OnGpu(grad)


def moved_there(module: nn.Module) -> nn.Module:
    """All parameters and buffers on the pretended GPU, in place."""
    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None:
                there = OnGpu(parameter.detach())
                part._parameters[name] = nn.Parameter(there, requires_grad=parameter.requires_grad)
        for name, buffer in part._buffers.items():
            part._buffers[name] = None if buffer is None else OnGpu(buffer.detach())
    return module


@contextmanager
def pretending() -> Iterator[list[str]]:
    """Gives the list of what the host reads inside."""
    OnGpu.reads.clear()
    with PretendedGpu():
        yield OnGpu.reads


def _moved(func, x: Tensor, rest: list, kwargs: dict) -> Tensor:
    here = _place(x)
    target = kwargs.pop("device", torch.device("cpu") if func is torch.Tensor.cpu else None)
    like = kwargs.pop("other", None)
    for place, given in enumerate(rest):
        if isinstance(given, Tensor):
            like = rest.pop(place)
        elif isinstance(given, str | torch.device):
            target = rest.pop(place)
        else:
            continue
        break
    if like is not None:
        target, kwargs["dtype"] = _place(like), like.dtype
    kwargs.pop("non_blocking", None)
    laid_fast = getattr(x, "is_laid_fast", False)
    target = here if target is None else torch.device(target)
    x = torch.Tensor.to(x, *rest, **kwargs) if rest or kwargs else x
    if target.type == here.type:
        return x
    if target.type == "cuda":
        if not laid_fast and x.numel() * x.element_size() > 64 * 1024:
            OnGpu.reads.append("a large copy from memory that may move")
        return _Upload.apply(x)
    OnGpu.reads.append("a copy to the host")
    return _Download.apply(x)


def _place(x: Tensor) -> torch.device:
    # Inside of the mode nothing answers for it.
    return GPU if isinstance(x, OnGpu) else x.device


def _held(value):
    return value.held if isinstance(value, OnGpu) else value


def _raised(value):
    return OnGpu(value) if isinstance(value, Tensor) else value
