"""OpenAPI document of one tag's operations alone, for a viewer that sends requests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from forumapi.apidocs.client_operations import VERBS, Schema
from forumapi.wire import scopes

AUTHORIZE: Final = "/oauth/authorize"
_TOKEN: Final = "/api/v1/oauth/token"


def tag_openapi(document: Schema, tag: str) -> Schema:
    """Return the document of the operations that have the tag, with the components that they use. On a host that is an
    OAuth provider it has the security scheme `oauth` too: a code with PKCE.
    """
    paths: Schema = {}
    for path, item in document["paths"].items():
        verbs = {verb: item[verb] for verb in VERBS if verb in item and tag in item[verb]["tags"]}
        if verbs:
            paths[path] = {key: item[key] for key in item if key not in VERBS} | verbs
    components = document["components"]
    schemes = {"bearer": components["securitySchemes"]["bearer"]}
    if AUTHORIZE in document["paths"]:
        schemes["oauth"] = {
            "type": "oauth2",
            "description": "A code with PKCE, for a client that the owner of the site has registered",
            "flows": {
                "authorizationCode": {
                    "authorizationUrl": AUTHORIZE,
                    "tokenUrl": _TOKEN,
                    "refreshUrl": _TOKEN,
                    "scopes": _scopes(document),
                }
            },
        }
    used: dict[str, Schema] = {"securitySchemes": schemes}
    left = list(_references(paths))
    while left:
        kind, name = left.pop()
        if name not in used.setdefault(kind, {}):
            used[kind][name] = components[kind][name]
            left += _references(used[kind][name])
    return {
        "openapi": document["openapi"],
        "info": {key: document["info"][key] for key in ("title", "version")},
        "servers": document["servers"],
        "security": [{}, *({name: []} for name in schemes)],
        "tags": [one for one in document["tags"] if one["name"] == tag],
        "paths": paths,
        "components": used,
    }


def _scopes(document: Schema) -> dict[str, str]:
    """Return the scopes that the document's operations ask for, sorted, with their meanings; without `scopes.OPEN` and
    `scopes.WHOLE`, which stand for operations that any token may call, and that only a token without scopes may.
    """
    found = {
        item[verb].get("x-scope", "")
        for item in document["paths"].values()
        for verb in VERBS
        if verb in item
    }
    return {name: scopes.words(name) for name in sorted(found - {scopes.OPEN, scopes.WHOLE})}


def _references(part: Any) -> Iterator[tuple[str, str]]:
    """Yield (kind, name) of each component that a part of the document refers to."""
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            _, _, kind, name = part["$ref"].split("/")
            yield kind, name
        for value in part.values():
            yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)
