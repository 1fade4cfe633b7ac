"""Another number of threads is said."""

import torch

from callbacks.checkpoint import KimgCheckpoint
from callbacks.machine import Machine
from tests.callbacks.callbacks_fakes import FakeModule, fit


def test_it_is_said_when_a_run_goes_on_with_other_threads(tmp_path, capsys, monkeypatch):
    def go_on(total_images: int, checkpoint=None) -> str:
        callbacks = [Machine(), KimgCheckpoint(every_kimg=1, folder=tmp_path)]
        fit(FakeModule(total_images=total_images), callbacks, ckpt_path=checkpoint)
        return capsys.readouterr().out

    checkpoints, threads = tmp_path / "checkpoints", torch.get_num_threads()
    assert "note" not in go_on(4)
    assert "note" not in go_on(8, checkpoints / "kimg0000000.004.ckpt")
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads + 1)
    said = go_on(12, checkpoints / "kimg0000000.008.ckpt")
    assert f"threads {threads} -> {threads + 1}: the last bits will differ" in said
    stored = torch.load(checkpoints / "kimg0000000.012.ckpt", weights_only=True)["callbacks"]["Machine"]
    assert stored["threads"] == threads + 1 and stored["torch"] == torch.__version__
