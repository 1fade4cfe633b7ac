"""What a module's checkpoint holds beside weights and buffers, and which of them mean all processes together."""

from typing import Any

from stylegan.distributed.collectives import rank
from stylegan.version import FORMAT_VERSION

_PENDING = ("ada.sign_sum", "ada.sign_count")


class Checkpointed:
    """For a module with both players, `ada` and `path_length`: a base class, since Lightning calls these methods.

    Rank 0 writes the file, of buffers that are the same on all; only the signs since the last move of p are not. The
    file holds their sums over all processes, which then count once, for any number of processes that go on.
    """

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["format_version"] = FORMAT_VERSION
        checkpoint["generator"] = dict(self.generator.options)
        checkpoint["discriminator"] = dict(getattr(self.discriminator, "options", {}))
        checkpoint["precision"] = self.precision
        checkpoint["state_dict"] |= zip(_PENDING, self.ada.pending(), strict=True)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Raises: ValueError for a format that is not known here."""
        version = checkpoint.get("format_version")
        if version != FORMAT_VERSION:
            raise ValueError(f"format_version {version} is not known here; this one reads {FORMAT_VERSION}")
        # Checkpoints that do not say were computed in float32.
        self.precision_before = checkpoint.get("precision", "fp32")
        # Older files of a run without path length have no mean of it, and later ones may be told to have no penalty.
        name, state, own = "path_length.mean_length", checkpoint.get("state_dict", {}), self.state_dict()
        if name in own:
            state.setdefault(name, own[name])
        else:
            state.pop(name, None)

    def on_fit_start(self) -> None:
        # Not while the file is read: rank 0's buffers are sent to all after that.
        if rank():
            for name in _PENDING:
                self.get_buffer(name).zero_()
