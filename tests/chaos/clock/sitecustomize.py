"""A clock that somebody sets back while a program runs.

Python imports this before the program where its folder is in PYTHONPATH. `CLOCK_BACK=3,86400`: after three seconds
the time of day is a day earlier. Clocks that only count on are left alone, as by a real change.
"""

import os
import time

_after_sec, _back_sec = (float(number) for number in os.environ["CLOCK_BACK"].split(","))
_began, _time = time.monotonic(), time.time


def _set_back() -> float:
    return _time() - _back_sec * (time.monotonic() - _began > _after_sec)


time.time = _set_back
time.time_ns = lambda: int(_set_back() * 1e9)
