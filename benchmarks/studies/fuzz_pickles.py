r"""Mutate pickles, guided by what they reach in the opcode machine, and stop at the first that is not answered well.

pip install --target fuzzer atheris==3.0.0
python -m tests.interop.pickle_files seeds
PYTHONPATH=.:fuzzer nice python -m benchmarks.studies.fuzz_pickles --corpus corpus --seeds seeds --until_runs 1000000

atheris (3.0.0 is for Python 3.11) is no dependency of the project, and has a place of its own here. Each input is read
as a file's content, by the machine alone; right is a result or a PickleError, within memory of twice the input and the
8 MiB that the machine has free: the address space is limited to little more than the program has at its start. With
`--whole` also weights and options of what was read are made. Stop it with Ctrl-C: `corpus` keeps what reached something
new, `corpus.runs` how many inputs there were, and it continues. An input that was not answered well is kept
as `corpus.crash-...`.
"""

import argparse
import resource
import sys
import types
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAX_INPUT_BYTES = 12_000
# What the machine has free, twice the largest input, and what the fuzzer keeps for itself: a growing corpus.
ROOM_BYTES = (8 << 20) + 2 * MAX_INPUT_BYTES + (64 << 20)
_TOLD_EVERY = 1_000


def held_bytes() -> int:
    """Address space that this process has now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * resource.getpagesize()


def read_runs(file: Path) -> int:
    return int(file.read_text(encoding="ascii")) if file.is_file() else 0


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="fuzz_pickles.py", description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, required=True, help="folder; made, or continued from")
    parser.add_argument("--seeds", type=Path, help="folder of files to begin with")
    parser.add_argument("--until_runs", type=int, default=1_000_000, help="inputs in all, over all starts")
    parser.add_argument(
        "--whole", action="store_true", help="also make the networks' weights of what is read"
    )
    parser.add_argument("--seconds", type=int, default=0, help="leave after so long; 0 = never")
    options = parser.parse_args(argv)

    import atheris

    if options.whole:
        # Before the hook of imports is there, which would look at each of torch's files.
        import torch

        torch.set_num_threads(1)
    else:
        # The package's own __init__ loads torch, which the machine does without, and so does its address space.
        package = types.ModuleType("stylegan.interop")
        package.__path__ = [str(ROOT / "stylegan" / "interop")]
        sys.modules["stylegan.interop"] = package
    machine = ["opcodes", "pickle_globals", "stored_objects"]
    rest = ["nvidia_pickle", "legacy_tf", "state_dicts", "stored_values"] if options.whole else []
    with atheris.instrument_imports(include=[f"stylegan.interop.{name}" for name in machine + rest]):
        from stylegan.interop import opcodes, stored_objects

        if options.whole:
            from stylegan.interop import nvidia_pickle
    runs_file = options.corpus.with_suffix(".runs")
    options.corpus.mkdir(parents=True, exist_ok=True)
    before = runs = read_runs(runs_file)
    if before >= options.until_runs:
        print(f"{before:,} inputs are done")
        return

    refusals = ValueError if options.whole else opcodes.PickleError

    def test_one_input(content: bytes) -> None:
        nonlocal runs
        runs += 1
        if runs % _TOLD_EVERY == 0:
            runs_file.write_text(str(runs), encoding="ascii")
        try:
            value = stored_objects.read_bytes(memoryview(content))
            if options.whole:
                nvidia_pickle.networks_of(value, "fuzzed")
        except refusals as error:
            assert "\n" not in str(error) and len(str(error)) < 400, str(error)

    flags = [f"-max_len={MAX_INPUT_BYTES}", "-rss_limit_mb=0", "-timeout=20", "-print_final_stats=1"]
    flags += [f"-runs={options.until_runs - before}", f"-artifact_prefix={options.corpus}.", "-verbosity=1"]
    flags += [f"-max_total_time={options.seconds}"] if options.seconds else []
    folders = [str(folder) for folder in (options.corpus, options.seeds) if folder]
    atheris.Setup([sys.argv[0], *flags, *folders], test_one_input)
    limit = held_bytes() + ROOM_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    print(f"{before:,} inputs before; address space is limited to {limit >> 20:,} MiB", flush=True)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
