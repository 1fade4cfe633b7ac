"""What all tests share: one thread, the settings of hypothesis, and no network."""

import os

# Before torch is imported, and for the programs that tests start. The tensors here are so small that threads
# cost more than they bring, above all beside other work; and sums of one thread have the same bits every time.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("WANDB_MODE", "offline")

from hypothesis import settings  # noqa: E402

# The same examples every time: a change is judged by what it changes. A busy machine is no failure.
settings.register_profile("project", deadline=None, derandomize=True)
settings.load_profile("project")
