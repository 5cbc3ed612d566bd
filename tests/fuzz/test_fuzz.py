"""Requests made up from the API document, good and bad: no server error, and no answer that is not documented.

One test an operation, on both kinds of host, as guest, member and site owner. Ids are partly those of things that
exist. What is made up is the same in every run; FUZZ_EXAMPLES makes it more.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from tests import schema_check
from tests.api import Api
from tests.factories import Factory, Person, Site

if TYPE_CHECKING:
    from schemathesis.core.transport import Response

pytestmark = pytest.mark.slow

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "12"))
CALLERS = ("guest", "member", "owner")


OPERATIONS = [
    pytest.param(host, f"{verb.upper()} {path}", id=f"{host} {verb.upper()} {path}")
    for host, document in schema_check.host_documents().items()
    for path, item in document["paths"].items()
    for verb in ("get", "post", "put", "patch", "delete")
    if verb in item
]


@cache
def strategies(host: str) -> Mapping[str, Any]:
    """Operation -> what makes up requests for it: two good ones for each bad one."""
    # Importing these takes seconds, which a run that leaves slow tests out should not wait for.
    import schemathesis
    from hypothesis import strategies as st
    from schemathesis import GenerationMode
    from schemathesis.core.result import Ok

    schema = schemathesis.openapi.from_dict(deepcopy(schema_check.host_documents()[host]))
    made = {}
    for result in schema.get_all_operations():
        assert isinstance(result, Ok), result
        operation = result.ok()
        good = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
        bad = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
        made[operation.label] = st.one_of(good, good, bad)
    return made


@dataclass
class Answer:
    """What schema_check looks at, of schemathesis's response."""

    response: Response

    @property
    def status(self) -> int:
        return self.response.status_code

    @property
    def headers(self) -> dict[str, str]:
        return {name: values[0] for name, values in self.response.headers.items()}

    @property
    def body(self) -> bytes:
        return self.response.content


def known_ids(make: Factory, site: Site) -> dict[str, list[int]]:
    """Part of an address -> ids of things that are on the site."""
    inner = make.microcosm(site)
    talk = make.conversation(site, microcosm=inner)
    first = make.comment(talk)
    reply = make.comment(talk, by=site.moderator, reply_to=first)
    return {
        "comments": [first.id, reply.id, make.comment(site.member).id],
        "conversations": [talk.id, make.conversation(site).id],
        "microcosms": [inner.id, site.root_id],
        "profiles": [site.member.id, site.owner.id],
        "sites": [site.id],
        "polls": [make.poll(site).id],
        "site": [site.id],
        "users": [site.member.user_id, site.owner.user_id],
    }


@pytest.mark.parametrize(("host", "label"), OPERATIONS)
def test_every_answer_is_documented(api: Api, make: Factory, host: str, label: str) -> None:
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import strategies as st

    site = make.site()
    ids = known_ids(make, site)
    address = site.host if host == "site" else api.platform_domain
    people: dict[str, Person | None] = site.cast()
    # A request that ends the caller's token is sent with one of its own.
    tokens = {
        name: make.token(person) if "/auth" in label else person.token
        for name, person in people.items()
        if person is not None and name in CALLERS
    }

    @settings(
        max_examples=EXAMPLES,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategies(host)[label], caller=st.sampled_from(CALLERS), pick=st.integers(0, 5))
    def ask(case: Any, caller: str, pick: int) -> None:
        known = ids.get(case.path.removeprefix("/api/v1/").partition("/")[0])
        if known and "id" in case.path_parameters and pick:
            case.path_parameters["id"] = known[pick % len(known)]
        headers = {"Host": address}
        if caller in tokens:
            headers["Authorization"] = f"Bearer {tokens[caller]}"
        response = case.call(base_url=api.base_url, headers=headers, allow_redirects=False)
        sent = response.request
        assert response.status_code < 500 or response.status_code == 501, told(sent, response)
        answer = Answer(response)
        try:
            schema_check.check(answer, sent.method, sent.path_url, headers=dict(sent.headers))
        except schema_check.UndocumentedError as fault:
            raise AssertionError(f"{fault}\n{told(sent, response)}") from None

    ask()


def told(sent: Any, response: Response) -> str:
    """The exact request, and the beginning of its answer."""
    headers = "\n".join(f"{name}: {value!r}" for name, value in sent.headers.items())
    return (
        f"{sent.method} {sent.path_url}\n{headers}\n\n{sent.body!r}\n\n{response.content[:600]!r}"
    )
