"""One direction of imports: who may know of whom. `ARCHITECTURE.md` shows the same picture."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Room → rooms it may import, besides itself. Leaves first.
MAY_IMPORT = {
    "stylegan.version": set(),
    "stylegan.sizes": set(),
    "stylegan.atomic": set(),
    "stylegan.cache_folder": set(),
    "stylegan.processes": set(),
    "stylegan.free_memory": set(),
    "stylegan.full_precision": set(),
    "stylegan.run_lock": {"stylegan.run_folder"},
    "stylegan.checkpoint_files": {"stylegan.atomic", "stylegan.run_folder"},
    "stylegan.config": {"stylegan.sizes"},
    "stylegan.run_folder": set(),
    "stylegan.images": {"stylegan.atomic"},
    "stylegan.features": {
        "stylegan.atomic",
        "stylegan.cache_folder",
        "stylegan.full_precision",
        "stylegan.images",
    },
    "stylegan.ops": set(),
    "stylegan.presets": {"stylegan.config", "stylegan.sizes"},
    "stylegan.networks": {"stylegan.ops", "stylegan.sizes"},
    "stylegan.augment": {"stylegan.ops"},
    "stylegan.losses": {"stylegan.ops"},
    "stylegan.metrics": set(),
    "stylegan.training": {
        "stylegan.ops",
        "stylegan.networks",
        "stylegan.augment",
        "stylegan.losses",
        "stylegan.free_memory",
        "stylegan.images",
        "stylegan.processes",
        "stylegan.sizes",
        "stylegan.version",
    },
    "stylegan.loggers": {"stylegan.atomic", "stylegan.images"},
    "stylegan.latents": {"stylegan.full_precision", "stylegan.networks", "stylegan.images", "stylegan.sizes"},
    "stylegan.report": {"stylegan.atomic", "stylegan.images"},
    "stylegan.evaluation": {
        "stylegan.atomic",
        "stylegan.cache_folder",
        "stylegan.features",
        "stylegan.full_precision",
        "stylegan.images",
        "stylegan.latents",
        "stylegan.metrics",
        "stylegan.networks",
        "stylegan.report",
        "stylegan.run_folder",
        "stylegan.sizes",
        "stylegan.training",
    },
    "stylegan.interop": {"stylegan.atomic", "stylegan.networks", "stylegan.run_folder", "stylegan.version"},
    # The commands know settings and folders; everything that works arrives by `_target_`.
    "stylegan.cli": {
        "stylegan.atomic",
        "stylegan.checkpoint_files",
        "stylegan.config",
        "stylegan.free_memory",
        "stylegan.presets",
        "stylegan.processes",
        "stylegan.run_folder",
        "stylegan.run_lock",
        "stylegan.sizes",
        "stylegan.version",
    },
    "callbacks": {
        "stylegan.atomic",
        "stylegan.checkpoint_files",
        "stylegan.evaluation",
        "stylegan.interop",
        "stylegan.images",
        "stylegan.latents",
        "stylegan.loggers",
        "stylegan.run_folder",
        "stylegan.training",
    },
    "datamodules": {"stylegan.cache_folder", "stylegan.free_memory", "stylegan.processes", "stylegan.sizes"},
    "conf": set(),
    # The package's face: loads lazily what a notebook wants.
    "stylegan": {"stylegan.version", "stylegan.networks", "stylegan.interop"},
}
OURS = ("stylegan", "datamodules", "callbacks", "conf", "tests", "train", "generate")


def room_of(module: str) -> str:
    parts = module.split(".")
    if parts[0] != "stylegan":
        return parts[0]
    return ".".join(parts[:2])


def imported(source: str) -> set[str]:
    """Our own modules that a piece of source imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the direction"
            names.add(node.module)
    return {name for name in names if name.split(".")[0] in OURS}


def violations(module: str, source: str) -> list[str]:
    room = room_of(module)
    allowed = MAY_IMPORT[room] | {room}
    return sorted(f"{module} imports {name}" for name in imported(source) if room_of(name) not in allowed)


def modules():
    for package in ("stylegan", "datamodules", "callbacks", "conf"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


@pytest.mark.parametrize(("module", "path"), [pytest.param(*pair, id=pair[0]) for pair in modules()])
def test_imports_go_one_way(module, path):
    assert violations(module, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("stylegan.ops.bias_act", "from stylegan.networks import Generator"),
        ("stylegan.networks.generator", "import stylegan.training.ada"),
        ("datamodules.sampler", "def f():\n    from stylegan.images import to_float"),
        ("stylegan.cli.train", "from callbacks.checkpoint import KimgCheckpoint"),
    ],
)
def test_a_planted_violation_is_found(module, source):
    assert len(violations(module, source)) == 1


def test_the_picture_has_no_circle():
    done: set[str] = set()
    while rest := {room for room in MAY_IMPORT if room not in done}:
        free = {room for room in rest if MAY_IMPORT[room] <= done}
        assert free, f"a circle among {sorted(rest)}"
        done |= free


def test_every_file_has_a_room_and_a_measure():
    """One idea a file: past 300 lines it wants splitting."""
    for module, path in modules():
        assert room_of(module) in MAY_IMPORT, module
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 300, path
