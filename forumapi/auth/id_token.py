"""Verification of ID tokens with the provider's public keys.

Loaded with the first such token of a process: the library takes 2 MB, and a tenth of a process' start.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

import jwt

LEEWAY_S: Final = 60
# Errors of the library for invalid tokens, malformed ones included.
REFUSED: Final = (jwt.PyJWTError, ValueError, TypeError)


def claims(
    token: str,
    algorithms: Collection[str],
    key_sets: Iterable[Callable[[], Mapping[str, Any]]],
    **how: Any,
) -> dict[str, Any]:
    """Return the claims of a token that is signed by a key of `key_sets`. Raises REFUSED.

    Each of `key_sets` returns a JWK set; it is called only if the set before has no fitting key. `how` is passed to
    PyJWT.
    """
    header = jwt.get_unverified_header(token)
    algorithm, kid = header.get("alg"), header.get("kid")
    if algorithm not in algorithms:
        raise jwt.InvalidAlgorithmError("not one of the provider's algorithms")
    for get in key_sets:
        found = _fitting(get(), kid, str(algorithm))
        if len(found) == 1:
            said: dict[str, Any] = jwt.decode(
                token, found[0], algorithms=list(algorithms), leeway=LEEWAY_S, **how
            )
            return said
    raise jwt.InvalidKeyError("the provider has no such key, or several")


def _fitting(keys: Mapping[str, Any], kid: object, algorithm: str) -> list[jwt.PyJWK]:
    """Return the keys of a set that a token header with this key id and algorithm may name."""
    found = []
    entries = keys.get("keys")
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
            continue
        if (kid is not None and entry.get("kid") != kid) or entry.get("kty") == "oct":
            continue
        if entry.get("alg", algorithm) != algorithm:
            continue
        try:
            found.append(jwt.PyJWK(entry, algorithm))
        except jwt.PyJWTError:
            continue  # of a kind that this algorithm does not take
    return found
