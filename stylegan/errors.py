"""Errors that cross rooms, and the exit codes of the commands, once."""

import signal

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 128 + signal.SIGINT
# As the shell has it for a program that such a pipe ends.
EXIT_BROKEN_PIPE = 128 + 13
# Of sysexits.h: a temporary failure, to be tried again; the same command continues.
EXIT_TRY_AGAIN = 75
# Of sysexits.h: something is wrong inside, as weights that stay non-finite.
EXIT_GIVEN_UP = 70


class UserError(Exception):
    """Something the user can correct, in one line that says how; several faults are as many lines.

    Args: exit_code: another one for a temporary failure, so that a script may try again.
    """

    def __init__(self, text: str, *, exit_code: int = EXIT_USER_ERROR):
        super().__init__(text)
        self.exit_code = exit_code


class RunFolderLostError(UserError):
    """The run's folder is no longer this run's: it was deleted, moved, or another process has taken it over.

    Nothing may be written there any more.
    """

    def __init__(self, text: str):
        super().__init__(text, exit_code=EXIT_TRY_AGAIN)


class BadImageError(ValueError):
    """A file of the data set that cannot be read; the message names it and the way out."""


class ImagesAwayError(UserError, ValueError):
    """Files of the data set that the system did not give for as long as a run waits; the same command continues."""

    def __init__(self, text: str):
        super().__init__(text, exit_code=EXIT_TRY_AGAIN)


class ProcessLostError(Exception):
    """Another process of the run is gone."""


class RunEndedError(Exception):
    """Rank 0 has ended the run that a worker takes part in.  Args: exit_code: of the run."""

    def __init__(self, exit_code: int):
        super().__init__(f"rank 0 has ended the run with exit code {exit_code}")
        self.exit_code = exit_code


class TrainingUnstableError(RuntimeError):
    """Weights or losses are not finite. The train command answers by going back to the last good checkpoint.

    `reason`: in a few words. `max_rollbacks`: how often a run goes back before it is given up.
    """

    def __init__(self, reason: str, *, max_rollbacks: int):
        super().__init__(reason)
        self.reason, self.max_rollbacks = reason, max_rollbacks
