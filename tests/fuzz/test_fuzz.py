"""Requests made up from the API document, good and bad: no server error, and no answer that is not documented.

One test an operation, on both kinds of host, as guest, member and site owner in turn. Ids are mostly those of things
that exist. What is made up is the same in every run; FUZZ_EXAMPLES makes it more.
"""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any
from zlib import crc32

import pytest

from tests import schema_check
from tests.api import Api
from tests.factories import Factory, Site

pytestmark = pytest.mark.slow

# At least three, so that each caller is heard.
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "5"))


OPERATIONS = [
    pytest.param(
        host,
        f"{verb.upper()} {path}",
        id=f"{host} {verb.upper()} {path}",
    )
    for host, document in schema_check.host_documents().items()
    for path, item in document["paths"].items()
    for verb in ("get", "post", "put", "patch", "delete")
    if verb in item
]


# A header is bytes, of which Latin-1 makes text: what is no ASCII, what is no UTF-8, what is long.
ODD_HEADERS = ("\xe4\xf6\xfc", "\xff\xfe", "de;q=\x80", "a" * 3000)

# ---------------------------------------------------------------- requests


@cache
def operations(host: str) -> dict[str, Any]:
    """Label -> the operation as schemathesis reads it."""
    # Importing it takes seconds, which a run that leaves slow tests out should not wait for.
    import schemathesis
    from schemathesis.core.result import Ok

    schema = schemathesis.openapi.from_dict(deepcopy(schema_check.host_documents()[host]))
    # Requests with a method that an address does not have say nothing about the operation.
    schema.config.phases.coverage.unexpected_methods = set()
    # Any character but surrogates, as with UTF-8, whose list takes seconds to make.
    schema.config.generation.codec = None
    read = {}
    for result in schema.get_all_operations():
        assert isinstance(result, Ok), result
        read[result.ok().label] = result.ok()
    return read


def made_up(host: str, label: str) -> list[Any]:
    """EXAMPLES requests: a third bad, a third good to the limits of what is allowed, a third good at random.

    The first two are chosen from a list, which costs a twentieth of drawing; where the list is short, more are drawn.
    A quarter comes on top, of drawn ones with odd values put in: to draw a bad one takes schemathesis 20 ms.
    """
    from schemathesis import GenerationMode

    operation = operations(host)[label]
    # Operations that take the same get requests that differ.
    seed = crc32(f"{host} {label}".encode())
    good: list[Any] = []
    bad: list[Any] = []
    for case in listed(operation):
        kind = good if case.meta.generation.mode is GenerationMode.POSITIVE else bad
        kind.append(case)
    third = EXAMPLES // 3
    chosen = spread(bad, third, seed) + spread(good, third, seed)
    at_random = drawn(operation, EXAMPLES - len(chosen), seed)
    return chosen + at_random + twisted(operation, at_random, EXAMPLES // 4, seed)


def listed(operation: Any) -> list[Any]:
    """Every request with one thing wrong, left out or at its limit: the deterministic phase of schemathesis."""
    from schemathesis import GenerationMode
    from schemathesis.generation.drivers import CoverageGenerator
    from schemathesis.generation.feedback import NO_FEEDBACK
    from schemathesis.generation.overrides import Override

    config = operation.schema.config.generation_for(operation=operation, phase="coverage")
    return list(
        CoverageGenerator(
            operation=operation,
            generation_modes=list(GenerationMode),
            generation_config=config,
            auth_storage=None,
            override=Override(),
            feedback=NO_FEEDBACK,
        )
    )


def spread(cases: list[Any], count: int, start: int) -> list[Any]:
    """At most `count` of them, evenly apart; which ones, depends on `start`."""
    count = min(count, len(cases))
    return [cases[(start + place * len(cases) // count) % len(cases)] for place in range(count)]


def collected(strategy: Any, count: int, seed: int) -> list[Any]:
    """At most `count` of what a strategy makes, the same in every run."""
    import hypothesis
    from hypothesis import HealthCheck, Phase

    values: list[Any] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(strategy)
    def keep(value: Any) -> None:
        values.append(value)

    keep()
    return values


def drawn(operation: Any, count: int, seed: int) -> list[Any]:
    """Good requests at random."""
    from schemathesis import GenerationMode

    return collected(operation.as_strategy(generation_mode=GenerationMode.POSITIVE), count, seed)


@cache
def odd_values() -> list[Any]:
    """Return what JSON can hold, nested too."""
    from hypothesis import strategies as st

    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=300) | st.sampled_from(
        ["\0", "a\0b", "9" * 300, "\r\n", "\U0001f6b2\u202e"]
    )
    numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
    leaves = st.none() | st.booleans() | numbers | text | text
    values = st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=5) | st.dictionaries(text, inner, max_size=5),
        max_leaves=10,
    )
    return collected(values, 250, seed=0)


def twisted(operation: Any, cases: list[Any], count: int, seed: int) -> list[Any]:
    """Requests like some of these but for odd values: a header, one in the query, one or more anywhere in the body."""
    chance = Random(seed)
    made = []
    for number, case in enumerate(chance.choices(cases, k=count), start=1):
        query = {**case.query, "unheard-of": ""}
        query[chance.choice(list(query))] = as_text(chance.choice(odd_values()))
        parts = {"body": deepcopy(case.body)} if isinstance(case.body, dict | list) else {}
        for holder, key in chance.choices([*places(parts)], k=number) if parts else ():
            value = chance.choice(odd_values())
            holder[key] = value if case.media_type == "application/json" else as_text(value)
        made.append(
            operation.Case(
                path_parameters={**case.path_parameters},
                headers={**case.headers, "Accept-Language": chance.choice(ODD_HEADERS)},
                query=query,
                media_type=case.media_type,
                **parts,
            )
        )
    return made


def as_text(value: Any) -> str:
    """Return what stands where only text can: JSON, of anything but text."""
    return value if isinstance(value, str) else json.dumps(value)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key or index) of everything inside a JSON value."""
    if isinstance(value, dict | list):
        for key, inner in list(value.items() if isinstance(value, dict) else enumerate(value)):
            yield value, key
            yield from places(inner)


def told(sent: Any) -> str:
    """The exact request."""
    headers = "\n".join(f"{name}: {value!r}" for name, value in sent.headers.items())
    return f"{sent.method} {sent.path_url}\n{headers}\n\n{sent.body!r}"


# ---------------------------------------------------------------- answers


@dataclass
class Stage:
    """A site with its cast. `ids` are those of things on it, by the part of an address that names their kind."""

    site: Site
    ids: dict[str, list[int]]


def set_up(make: Factory) -> Stage:
    """A stage of its own."""
    site = make.site()
    inner = make.microcosm(site)
    talk = make.conversation(site, microcosm=inner)
    first = make.comment(talk)
    reply = make.comment(talk, by=site.moderator, reply_to=first)
    ids = {
        "comments": [first.id, reply.id, make.comment(site.member).id],
        "conversations": [talk.id, make.conversation(site).id],
        "microcosms": [inner.id, site.root_id],
        "profiles": [site.member.id, site.owner.id],
        "sites": [site.id],
        "polls": [make.poll(site).id],
        "site": [site.id],
        "users": [site.member.user_id, site.owner.user_id],
    }
    return Stage(site, ids)


@pytest.fixture(scope="module")
def for_reading(make: Factory) -> Stage:
    """The stage of all operations that change nothing."""
    return set_up(make)


@pytest.mark.sliced(8)
@pytest.mark.parametrize(("host", "label"), OPERATIONS)
def test_every_answer_is_documented(
    api: Api, make: Factory, for_reading: Stage, host: str, label: str
) -> None:
    import requests
    from schemathesis.core.parameters import ParameterLocation

    stage = for_reading if label.startswith("GET ") else set_up(make)
    address = stage.site.host if host == "site" else api.platform_domain
    known = stage.ids.get(label.partition("/api/v1/")[2].partition("/")[0])
    callers = (None, stage.site.member, stage.site.owner)
    cases = made_up(host, label)
    # The body of the last one ends in its middle.
    last = len(label) + len(cases) - 1
    for number, case in enumerate(cases, start=len(label)):
        # The path of a request that is about the path stays as it is.
        about = case.meta and case.meta.phase.data.parameter_location
        if (
            known
            and "id" in case.path_parameters
            and about is not ParameterLocation.PATH
            and number % 6
        ):
            case.path_parameters["id"] = known[number % len(known)]
        by = callers[number % len(callers)]
        # A request that ends the caller's token is sent with one of its own.
        token = make.token(by) if by and "/auth" in label else None
        sent: Any = requests.Request(**case.as_transport_kwargs(api.base_url)).prepare()
        sent.headers.pop("Content-Length", None)
        body = sent.body.encode() if isinstance(sent.body, str) else sent.body
        if body and number == last:
            body = body[: len(body) // 2]
        try:
            answer = api.request(
                sent.method,
                sent.path_url,
                host=address,
                by=by,
                token=token,
                body=body,
                headers=sent.headers,
            )
            assert answer.status < 500 or answer.status == 501, answer.body[:600]
        except (AssertionError, OSError, http.client.HTTPException) as fault:
            fault.add_note(f"by {by.name if by else 'guest'} at {address}:\n{told(sent)}")
            raise
