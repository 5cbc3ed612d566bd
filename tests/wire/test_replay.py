"""Each recorded request, sent in the same situation, gets the recorded answer, deviations apart."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from _pytest.mark.structures import ParameterSet

from .cases import CASES
from .compare import Refs, compare
from .deviations import expected, explain, summary
from .recording import load
from .replay import play
from .world import Scene, World

pytestmark = pytest.mark.slow

ENTRIES = {
    "conversation": expected(load("member-GET-microcosm-leaf")).body.json["data"]["items"]["items"][
        :2
    ]
}
"""A recorded list of microcosms and conversations shows its first two entries, both microcosms."""


def cases() -> Iterator[ParameterSet]:
    """Every recording to replay, its id with the rules that apply."""
    for name in CASES:
        yield pytest.param(
            name,
            id=f"{name} {summary(name)}".strip(),
        )


@pytest.mark.sliced(40)
@pytest.mark.parametrize("name", list(cases()))
def test_the_answer_is_the_recorded_one(world: World, name: str) -> None:
    recording = load(name)
    scene = Scene.of(world)
    CASES[name](scene)

    answer = play(scene, recording)
    found = compare(expected(recording), answer, Refs(scene.ids, scene.texts, ENTRIES))

    sent = f"{recording.request.method} {recording.request.target}"
    told = "\n".join(f"  {mismatch}" for mismatch in found)
    assert not found, f"{sent}\n{told}\ndeviations:\n{explain(name)}"


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("HEAD-")])
def test_a_head_tells_the_length_of_the_body_that_get_sends(world: World, name: str) -> None:
    request = load(name).request
    scene = Scene.of(world)
    head = play(scene, load(name))
    target = request.target.replace("4993", str(world.thread))
    get = world.api.request("GET", target, host=world.host, token=scene.member1.token)

    assert head.headers["content-length"] == str(len(get.body))
