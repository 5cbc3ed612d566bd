"""Calls that wait for a disk, kept from stopping a process that serves many requests at once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def offload(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `function` returns or raises. In a worker of gevent it runs in a real thread, elsewhere here.

    A file has no readiness to wait for, so gevent can't switch while the disk is slow: fsync stops every request.
    """
    monkey = sys.modules.get("gevent.monkey")
    if monkey is None or not monkey.is_module_patched("socket"):
        return function(*args, **kwargs)
    import gevent

    result: T = gevent.get_hub().threadpool.apply(function, args, kwargs)
    return result
