# SPDX-License-Identifier: BSD-2-Clause
"""Waiting for what must come, and what is raised when it does not."""
import time


class LabError(Exception):
    """What the lab itself could not do."""


def wait_until(fn, timeout=30, what="", step=0.05):
    """Calls fn until it returns something true, and returns that."""
    end = time.monotonic() + max(timeout, 15)
    while True:
        got = fn()
        if got:
            return got
        if time.monotonic() > end:
            raise LabError(f"gave up waiting: {what or fn}")
        time.sleep(step)
