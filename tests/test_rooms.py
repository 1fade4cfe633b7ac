"""One direction of imports: who may know of whom. `ARCHITECTURE.md` shows the same picture."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Room → rooms it may import, besides itself. Leaves first.
MAY_IMPORT = {
    "stylegan.version": set(),
    "stylegan.sizes": set(),
    "stylegan.errors": set(),
    "stylegan.machine": {"stylegan.errors"},
    "stylegan.distributed": {"stylegan.errors", "stylegan.machine"},
    "stylegan.configuration": {
        "stylegan.distributed",
        "stylegan.errors",
        "stylegan.machine",
        "stylegan.sizes",
    },
    "stylegan.runs": {
        "stylegan.configuration",
        "stylegan.errors",
        "stylegan.machine",
        "stylegan.sizes",
        "stylegan.version",
    },
    "stylegan.images": {"stylegan.machine"},
    "stylegan.ops": set(),
    "stylegan.networks": {"stylegan.ops", "stylegan.sizes"},
    "stylegan.augment": {"stylegan.machine", "stylegan.ops"},
    "stylegan.losses": {"stylegan.ops"},
    "stylegan.metrics": set(),
    "stylegan.features": {"stylegan.images", "stylegan.machine"},
    "stylegan.training": {
        "stylegan.augment",
        "stylegan.distributed",
        "stylegan.errors",
        "stylegan.images",
        "stylegan.losses",
        "stylegan.machine",
        "stylegan.networks",
        "stylegan.ops",
        "stylegan.sizes",
        "stylegan.version",
    },
    "stylegan.loggers": {"stylegan.images", "stylegan.machine"},
    "stylegan.media": {"stylegan.images", "stylegan.machine", "stylegan.sizes"},
    "stylegan.latents": {
        "stylegan.features",
        "stylegan.images",
        "stylegan.machine",
        "stylegan.media",
        "stylegan.networks",
        "stylegan.similarity",
        "stylegan.sizes",
    },
    "stylegan.interop": {
        "stylegan.machine",
        "stylegan.networks",
        "stylegan.ops",
        "stylegan.runs",
        "stylegan.sizes",
        "stylegan.version",
    },
    "stylegan.similarity": {"stylegan.images"},
    "stylegan.pages": {"stylegan.images"},
    "stylegan.report": {"stylegan.machine", "stylegan.pages", "stylegan.similarity"},
    "stylegan.evaluation": {
        "stylegan.distributed",
        "stylegan.errors",
        "stylegan.features",
        "stylegan.images",
        "stylegan.latents",
        "stylegan.machine",
        "stylegan.metrics",
        "stylegan.networks",
        "stylegan.report",
        "stylegan.runs",
        "stylegan.sizes",
    },
    "datamodules": {"stylegan.errors", "stylegan.images", "stylegan.machine", "stylegan.sizes"},
    "callbacks": {
        "stylegan.distributed",
        "stylegan.errors",
        "stylegan.evaluation",
        "stylegan.images",
        "stylegan.interop",
        "stylegan.latents",
        "stylegan.loggers",
        "stylegan.machine",
        "stylegan.runs",
        "stylegan.training",
    },
    "stylegan.cli": {
        "callbacks",
        "datamodules",
        "stylegan.configuration",
        "stylegan.distributed",
        "stylegan.errors",
        "stylegan.evaluation",
        "stylegan.images",
        "stylegan.interop",
        "stylegan.latents",
        "stylegan.machine",
        "stylegan.networks",
        "stylegan.runs",
        "stylegan.sizes",
        "stylegan.training",
        "stylegan.version",
    },
    "conf": set(),
    # The package's face: loads lazily what a notebook needs.
    "stylegan": {"stylegan.version", "stylegan.networks", "stylegan.interop"},
}
OURS = (
    "stylegan",
    "datamodules",
    "callbacks",
    "conf",
    "tests",
    "benchmarks",
    "train",
    "generate",
    "evaluate",
)


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
        ("datamodules.sampler", "def f():\n    from stylegan.training import AdaController"),
        ("stylegan.configuration.schema", "from stylegan.cli.train import main"),
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
    """A file is a subject: past 350 lines it is two."""
    for module, path in modules():
        assert room_of(module) in MAY_IMPORT, module
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 350, path
