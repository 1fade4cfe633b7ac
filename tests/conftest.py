"""What all tests share: one thread, the settings of hypothesis, no network, and a cache folder of their own."""

import os
import signal

# Where a shell starts the tests in the background they ignore Ctrl-C, and so would the programs that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Before torch is imported, and for the programs that tests start. The tensors here are so small that threads
# cost more than they bring, above all next to other work; and sums of one thread have the same bits every time.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("WANDB_MODE", "offline")

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

# The same examples every time: a change is measured by what it changes. A busy machine is no failure.
# Few of them, so that make test stays short; make test-long tries these tests again with --hypothesis-profile=many.
settings.register_profile("few", deadline=None, derandomize=True, max_examples=25)
settings.register_profile("many", deadline=None, derandomize=True, max_examples=200)
settings.load_profile("few")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """What is found in tests' pictures, also by programs they start, stays out of the user's cache folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """Names that are no UTF-8 are printed by some tests; xdist can send no such text from one process to another."""
    report = yield
    report.sections = [
        (title, text.encode("utf-8", "backslashreplace").decode()) for title, text in report.sections
    ]
    return report
