"""Verification of signed tokens (JWT) of identity providers, with the provider's public keys.

Loaded when a process gets its first such token: the library takes 2 MB, and a tenth of a process' start.
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
    """Return the claims of a token that a key of `key_sets` has signed by one of `algorithms`, whose times hold
    (LEEWAY_S seconds are forgiven), and that passes the checks of `how`. Raises one of the errors in REFUSED for any
    other token, and what a function of `key_sets` raises.

    Each of `key_sets` is a function that returns a JWK set, called only if each set before has no key or several keys
    that fit. `how`: further arguments of PyJWT's `decode`, such as `audience` and `issuer`.
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
    """Return the keys of the JWK set `keys` that may have signed a token with the key id `kid` (None: the token names
    none, so that every key may) and this algorithm, in the set's order; symmetric keys never. [] if there is none or
    the set is malformed.
    """
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
