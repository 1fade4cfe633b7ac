"""Exported files: ONNX, for other programs and browsers, and `.pt2`, torch's own form.

Both are written only after they were run, and gave the network's numbers."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from stylegan.interop.export.checks import (
    BATCHES,
    MAX_DIFFERENCE,
    Exported,
    Run,
    check_limits,
    compare,
    description,
    quietly,
)
from stylegan.interop.export.parts import BATCH, ExportedPart, Values
from stylegan.machine.files import refusal, replacing
from stylegan.networks.digest import weights_sha256

Say = Callable[[str], None]
# Inside a `.pt2`.
METADATA_FILE = "metadata.json"


def export_onnx(
    generator: nn.Module,
    path: str | Path,
    *,
    part: str = "whole",
    noise: str = "const",
    truncation_cutoff: int | None = None,
    metadata: Mapping[str, str] | None = None,
    batches: Sequence[int] = BATCHES,
    max_difference: float = MAX_DIFFERENCE,
    say: Say | None = None,
) -> Exported:
    """Write a generator as ONNX, float32 with a free batch, after onnxruntime gave the network's numbers on the CPU.

    Inputs: `z`, `label` (where the network has labels) and `truncation` (psi, a scalar), or `ws` of the synthesis;
    with `noise="input"` also `noise.<layer>` of each layer. Output: `image`, or `ws` of the mapping. The file's
    metadata say what each means, and have the digest of the weights, the size and the label names.

    Args:
        generator: a `Generator` in any state and on any device; it is left as it is.
        path: ends in .onnx; a file that is there is replaced.
        part: "whole", "mapping" or "synthesis".
        noise: "const" (the network's own maps, inside the file), "input" or "none".
        truncation_cutoff: only the first so many of the L entries of ws are truncated; None = all.
        metadata: further text for the file.
        batches: sizes of the batches that are compared.
        max_difference: of the largest number of the output.
        say: called with a line about what is done; None = no lines.
    Returns: the file's size, and the difference that was found.
    Raises: ValueError in one line for a wrong argument, packages that are missing, a network that cannot be
        exported, or numbers that differ; then there is no new file.
    """
    path = _target(path, ".onnx")
    batches = check_limits(batches, max_difference)
    _check_packages()
    exported = ExportedPart(generator, part=part, noise=noise, truncation_cutoff=truncation_cutoff)
    about = description(exported, weights=weights_sha256(generator), further=metadata)
    program = _traced(exported, path, say)
    _tell(say, f"{path}: translating to ONNX")
    model = _translated(exported, program, path)
    _tell(say, f"{path}: comparing with onnxruntime")
    difference = compare(
        exported,
        _session(exported, model.SerializeToString(), path),
        path=path,
        engine="onnxruntime",
        batches=batches,
        max_difference=max_difference,
    )
    import onnx

    onnx.helper.set_model_props(model, about | {"largest_difference": f"{difference:.2g}"})
    content = model.SerializeToString()
    _write(path, content)
    return Exported(path, part, len(content), difference, batches, "onnxruntime")


def export_program(
    generator: nn.Module,
    path: str | Path,
    *,
    part: str = "whole",
    noise: str = "const",
    truncation_cutoff: int | None = None,
    metadata: Mapping[str, str] | None = None,
    batches: Sequence[int] = BATCHES,
    max_difference: float = MAX_DIFFERENCE,
    say: Say | None = None,
) -> Exported:
    """Write a generator as a `torch.export` program, for torch without this package.

    `torch.export.load(path).module()` takes the inputs by name, the noise as one dict {layer: [N,1,H,W]}. Compared on
    the CPU after reading it back; batches of 2 and more are equal bit for bit there, and one image alone, too,
    unless `noise="const"`, of which the network adds maps in another order for one. The metadata are the extra file
    `metadata.json`.

    Args, returns, raises: as `export_onnx`; `path` ends in .pt2, and no package is needed.
    """
    path = _target(path, ".pt2")
    batches = check_limits(batches, max_difference)
    exported = ExportedPart(generator, part=part, noise=noise, truncation_cutoff=truncation_cutoff)
    about = description(exported, weights=weights_sha256(generator), further=metadata)
    program = _traced(exported, path, say)
    # Where the network was traced: paths of this machine, which must not leave it, and large.
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    _tell(say, f"{path}: comparing what was written")
    difference = compare(
        exported,
        _read_back(_saved(program, {}, path), path),
        path=path,
        engine="torch",
        batches=batches,
        max_difference=max_difference,
    )
    about["largest_difference"] = f"{difference:.2g}"
    content = _saved(program, {METADATA_FILE: json.dumps(about, indent=1)}, path)
    _write(path, content)
    return Exported(path, part, len(content), difference, batches, "torch")


def _traced(exported: ExportedPart, path: Path, say: Say | None) -> torch.export.ExportedProgram:
    _tell(say, f"{path}: tracing the network")
    values = exported.values(2, truncation=0.7, random=torch.Generator("cpu").manual_seed(0))
    batch = torch.export.Dim(BATCH, min=1)
    shapes = {
        name: {layer: {0: batch} for layer in value} if isinstance(value, dict) else {0: batch}
        for name, value in values.items()
        if name != "truncation"
    }
    if "truncation" in values:
        shapes["truncation"] = None
    shapes = {name: shapes[name] for name in values}
    with (
        quietly(f"{path}: torch cannot export this network"),
        torch.inference_mode(False),
        torch.no_grad(),
        torch.autocast("cpu", enabled=False),
    ):
        return torch.export.export(exported.eval(), (), values, dynamic_shapes=shapes)


def _translated(exported: ExportedPart, program: torch.export.ExportedProgram, path: Path):
    """The `onnx.ModelProto` of a program, its ports under their names."""
    import onnx

    with quietly(f"{path}: torch cannot write this network as ONNX"):
        translated = torch.onnx.export(
            program,
            (),
            dynamo=True,
            input_names=[port.name for port in exported.inputs],
            output_names=[exported.output.name],
            verbose=False,
        )
        translated.rename_axes({translated.model.graph.inputs[0].shape[0]: BATCH})
        model = translated.model_proto
        # What remains of tracing: source lines with paths of this machine on every node.
        for piece in (model, model.graph, *model.graph.node, *model.graph.value_info):
            piece.ClearField("metadata_props")
        onnx.checker.check_model(model)
        return model


def _session(exported: ExportedPart, content: bytes, path: Path) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = torch.get_num_threads()
    with quietly(f"{path}: onnxruntime cannot read it"):
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def run(values: Values) -> Tensor:
        feed = {name: value.contiguous().numpy() for name, value in exported.named(values).items()}
        return torch.from_numpy(session.run(None, feed)[0])

    return run


def _saved(program: torch.export.ExportedProgram, extra_files: dict[str, str], path: Path) -> bytes:
    buffer = io.BytesIO()
    with quietly(f"{path}: torch cannot write this network"):
        torch.export.save(program, buffer, extra_files=extra_files)
    return buffer.getvalue()


def _read_back(content: bytes, path: Path) -> Run:
    with quietly(f"{path}: torch cannot read it"):
        # Its reader may unpickle: these bytes were made a moment ago, and no file was read.
        module = torch.export.load(io.BytesIO(content)).module()

    def run(values: Values) -> Tensor:
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            return module(**values)

    return run


def _target(path: str | Path, suffix: str) -> Path:
    """The path, as far as it can be refused before the long work. Raises: ValueError."""
    path = Path(path)
    if path.suffix != suffix:
        raise ValueError(f"{path}: the name of this file must end in {suffix}")
    if path.is_dir():
        raise ValueError(f"{path} is a folder, and the exported network is a file")
    if not path.parent.is_dir():
        raise ValueError(f"{path}: there is no folder {path.parent}")
    return path


def _check_packages() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ValueError(
            f"export to ONNX needs {error.name}: pip install 'stylegan-lightning[export]'"
        ) from error


def _write(path: Path, content: bytes) -> None:
    try:
        with replacing(path) as file:
            file.write(content)
    except OSError as error:
        raise ValueError(f"{path} cannot be written: {refusal(error)}") from error


def _tell(say: Say | None, line: str) -> None:
    if say is not None:
        say(line)
