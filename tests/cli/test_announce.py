"""The last lines of a training name files that are there and a command that runs."""

import pytest

from stylegan.cli.announce import channels_text, say_where_to_look
from stylegan.runs.folder import RunFolder


def run_with(tmp_path, generator: str) -> RunFolder:
    folder = RunFolder(tmp_path / "my run")
    folder.checkpoints.mkdir(parents=True)
    (folder.checkpoints / "kimg0000000.016.ckpt").touch()
    folder.config.write_text(f"generator: {generator}\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    "generator, label",
    [
        ("{c_dim: 0}", ""),
        ("{c_dim: [", ""),
        ("{c_dim: 2}", " label=0"),
        ("{c_dim: 2, label_names: [fox, red fox]}", " label=fox"),
        ("{c_dim: 2, label_names: [red fox, fox]}", " 'label=red fox'"),
    ],
)
def test_the_next_command_names_a_class_where_the_network_asks_for_one(tmp_path, capsys, generator, label):
    folder = run_with(tmp_path, generator)
    say_where_to_look(folder)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("  next ") and last.endswith(f"'network={folder.path}' seeds=0-15{label}")


@pytest.mark.parametrize(
    "channels, words", [(None, ""), (1, ", grey"), (3, ", RGB"), (4, ", RGB and alpha"), (6, ", 6 channels")]
)
def test_channels_are_named_where_the_data_have_the_option(channels, words):
    assert channels_text(channels) == words
