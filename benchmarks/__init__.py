"""How fast this is, against what the machine can do: `python -m benchmarks --help`."""
