"""Running of blocking disk calls, and of rare long computations, in a real thread, so that they don't block a worker's
other requests.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def offload(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `function` with the arguments and return its result or raise its error: in gevent's thread pool inside a
    worker, else directly.

    gevent can't switch to other requests while the disk is slow, since files have no readiness to wait for: one fsync
    would block all.
    """
    monkey = sys.modules.get("gevent.monkey")
    if monkey is None or not monkey.is_module_patched("socket"):
        return function(*args, **kwargs)
    import gevent

    result: T = gevent.get_hub().threadpool.apply(function, args, kwargs)
    return result
