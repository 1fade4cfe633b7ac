"""The commands: thin mains that compose a configuration, build what it names, and start it."""

import signal
import sys
from pathlib import PurePath

# While a command is loading Ctrl-C ends it as every other signal does: a traceback of an import helps no one. Its
# `leaving_at_once` answers from then on. A program of the user's that imports this keeps its own answer.
_PROGRAM = PurePath(sys.argv[0]).name if getattr(sys, "argv", None) else ""
_IS_COMMAND = _PROGRAM in ("-m", "train.py", "generate.py", "evaluate.py") or _PROGRAM.startswith("stylegan-")
if _IS_COMMAND and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
