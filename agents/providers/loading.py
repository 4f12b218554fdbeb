"""Loading the providers' libraries when they are first needed: each takes about a second and tens of megabytes."""

from __future__ import annotations

import gc
import sys
from importlib import import_module


def load_sdk(name: str) -> None:
    """Import the library ``name``, if this process has not yet."""
    is_new = name not in sys.modules
    import_module(name)
    if is_new:
        # What a library leaves in memory never becomes garbage. Unless told so, each full collection walks its hundreds of
        # thousands of objects, which stops all threads for some 180 ms: answers, ticks and pushes alike.
        gc.collect()
        gc.freeze()
