"""The device that a name means, and what it is called."""

import torch


def device_text(device: torch.device) -> str:
    """What a user knows it by: "CPU, 8 threads", "NVIDIA T4 (cuda:0)"."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)} ({device})"
    return f"CPU, {torch.get_num_threads()} threads" if device.type == "cpu" else str(device)


def device_named(name: str, number: int = 0) -> torch.device:
    """`auto`: the GPU of that number where there is one, else the CPU; any other name as torch has it.

    Raises: ValueError for what is not there.
    """
    if name == "auto":
        return torch.device("cuda", number) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
        if device.type == "meta":
            raise TypeError("tensors without values")
    # Without CUDA torch fails an assertion, without a device of this number a runtime check.
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ValueError(f"device={name} cannot be used here; device=auto takes what there is") from error
    return device
