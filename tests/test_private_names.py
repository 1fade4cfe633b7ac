"""docs/private_names.md lists every private name of another package that this code relies on, and who notices."""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.trainer.connectors.accelerator_connector import _AcceleratorConnector
from torch.utils._python_dispatch import TorchDispatchMode

from stylegan.distributed.strategy import FlatStrategy

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "private_names.md"
OURS = ("stylegan", "callbacks", "datamodules", "benchmarks")
# Underscored by their makers and documented nevertheless; `_target_` is a key of Hydra's configurations.
DOCUMENTED = {"_exit", "_replace", "_asdict", "_fields", "_make", "_target_", "_convert_"}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in DOCUMENTED


def is_ours(module: str) -> bool:
    return module.split(".")[0] in OURS


def imported(tree: ast.AST) -> Iterator[str]:
    """Dotted names of other packages that are imported, and have a private part."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name for name in names if not is_ours(name) and any(map(is_private, name.split("."))))


def defined(tree: ast.AST) -> set[str]:
    """Private names that a module defines: functions, classes, variables, attributes of its objects."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
                names.add(node.attr)
    return {name for name in names if is_private(name)}


def fetched(tree: ast.AST) -> Iterator[str]:
    """Private attributes that are fetched from, or set on, anything but the object itself; also by `getattr`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and "attr" in node.func.id:
            texts = [word.value for word in node.args[1:2] if isinstance(word, ast.Constant)]
            yield from (text for text in texts if isinstance(text, str) and is_private(text))
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            if not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")):
                yield node.attr


def inherited(kind: type) -> Iterator[str]:
    """Private names in the body of a class of ours that a class of another package, which it extends, knows as well."""
    foreign = [base for base in kind.__mro__[1:] if not is_ours(base.__module__)]
    used = set(re.findall(r"(?:self|super\(\))\.(_\w+)|def (_\w+)", inspect.getsource(kind)))
    names = {name for pair in used for name in pair if name and is_private(name)}
    for base in foreign:
        try:
            known = set(re.findall(r"\b_\w+", inspect.getsource(base)))
        except (OSError, TypeError):  # written in C
            known = set(dir(base))
        yield from names & known


def sources() -> Iterator[tuple[str, Path]]:
    for package in OURS:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def relied_on() -> dict[str, set[str]]:
    """Private name of another package, without what is before its last dot → the files that need it."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for _, path in sources()}
    own = set().union(*map(defined, trees.values()))
    found: dict[str, set[str]] = {}
    for module, path in sources():
        tree = trees[path]
        names = {name.rpartition(".")[2] for name in imported(tree)}
        names |= {name for name in fetched(tree) if name not in own}
        if any(isinstance(node, ast.ClassDef) and node.bases for node in ast.walk(tree)):
            here = importlib.import_module(module)
            for kind in vars(here).values():
                if inspect.isclass(kind) and kind.__module__ == module:
                    names |= set(inherited(kind))
        for name in names:
            found.setdefault(name, set()).add(path.relative_to(ROOT).as_posix())
    return found


def rows() -> list[tuple[str, set[str], str]]:
    """Of the page's table: the name, the files, and the test that notices its change."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")
    ]
    return [
        (name.strip("`"), set(re.findall(r"`([^`]+)`", files)), test.strip("`"))
        for name, files, _, test in cells
    ]


def test_the_page_names_all_of_them_and_their_files():
    listed = {name.rpartition(".")[2]: files for name, files, _ in rows()}
    assert len(listed) == len(rows())
    assert listed == relied_on()


@pytest.mark.parametrize("test", sorted({test for _, _, test in rows()}))
def test_each_has_a_test(test):
    file, _, function = test.partition("::")
    functions = [node for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8")))]
    assert function in {node.name for node in functions if isinstance(node, ast.FunctionDef)}


def test_planted_ones_are_found():
    tree = ast.parse(
        "from torch._C import Thing\nimport json\nx._hidden\nself._own\nos._exit(0)\ngetattr(x, '_told')"
    )
    assert list(imported(tree)) == ["torch._C.Thing"]
    assert list(fetched(tree)) == ["_hidden", "_told"]
    assert defined(ast.parse("class A:\n def __init__(self):\n  self._own = 1\n def _f(self): pass")) == {
        "_own",
        "_f",
    }

    class Ours(TensorBoardLogger):
        def f(self):
            return self._experiment, self._nothing_of_theirs

    assert set(inherited(Ours)) == {"_experiment"}


# What is relied on, name by name.


def test_a_tensor_counts_how_often_it_was_written():
    x = torch.zeros(3)
    before = x._version
    x.add_(1)
    x[0] = 2
    assert x._version == before + 2
    assert (x + 1)._version == 0


def test_a_module_knows_its_buffers_by_name():
    module = torch.nn.Module()
    assert "p" not in module._buffers
    module.register_buffer("p", torch.zeros([]))
    assert module._buffers["p"] is module.p


def test_a_list_of_tensors_moves_towards_another():
    a, b = [torch.tensor([1.0, 2.0]), torch.tensor(3.0)], [torch.tensor([3.0, 6.0]), torch.tensor(7.0)]
    expected = [torch.lerp(one, other, 0.25) for one, other in zip(a, b, strict=True)]
    torch._foreach_lerp_(a, b, 0.25)
    assert all(torch.equal(one, other) for one, other in zip(a, expected, strict=True))


PADDED = ["padding", "stride", "dilation", "groups"]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("_convolution_pointwise", ["X", "W", "B", *PADDED, "attr", "scalars", "algorithm"]),
        (
            "_convolution_transpose_pointwise",
            [
                "X",
                "W",
                "B",
                "padding",
                "output_padding",
                "stride",
                "dilation",
                "groups",
                "attr",
                "scalars",
                "algorithm",
            ],
        ),
        ("_reorder_convolution_weight", ["self", *PADDED, "input_size"]),
        (
            "_reorder_convolution_transpose_weight",
            ["self", "padding", "output_padding", "stride", "dilation", "groups", "input_size"],
        ),
        ("_is_mkldnn_bf16_supported", []),
    ],
)
def test_onednn_takes_weights_in_its_own_order(name, arguments):
    if not torch.backends.mkldnn.is_available():
        pytest.skip("torch was built without oneDNN")
    schema = getattr(torch.ops.mkldnn, name).default._schema
    assert [argument.name for argument in schema.arguments] == arguments


def test_the_processor_says_whether_it_has_bfloat16():
    assert torch.cpu._is_avx512_bf16_supported() in (True, False)
    assert torch.cpu._is_amx_tile_supported() in (True, False)


def test_a_mode_is_shown_each_kernel():
    class Seen(TorchDispatchMode):
        packets: list = []

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.packets.append(func._overloadpacket)
            return func(*args, **(kwargs or {}))

    with Seen() as seen:
        torch.ones(2) + 1
    assert torch.ops.aten.add in seen.packets


def test_lightning_tells_other_processes_of_a_signal_by_two_functions():
    trainer = pl.Trainer(logger=False, enable_checkpointing=False, barebones=True, accelerator="cpu")
    signals, loop = trainer._signal_connector, trainer.fit_loop.epoch_loop
    assert callable(signals._sigterm_notifier_fn) and callable(loop._broadcast_sigterm_tensor)
    assert "self._sigterm_notifier_fn" in inspect.getsource(type(signals).register_signal_handlers)
    assert "self._broadcast_sigterm_tensor()" in inspect.getsource(type(loop).advance)


def test_a_strategy_configures_its_launcher():
    assert "strategy._configure_launcher()" in inspect.getsource(_AcceleratorConnector)
    strategy = FlatStrategy()
    strategy._configure_launcher()
    assert strategy.launcher is None


def test_tensorboards_logger_opens_its_writer_when_it_is_needed(tmp_path):
    logger = TensorBoardLogger(tmp_path)
    assert logger._experiment is None
    writer = logger.experiment
    assert logger._experiment is writer
    writer.close()
