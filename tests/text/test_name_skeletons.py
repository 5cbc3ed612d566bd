"""Names that look alike have a skeleton in common (UTS 39), whatever letters they are made of."""

from __future__ import annotations

import pytest

from forumapi.text.name_skeletons import looks


@pytest.mark.parametrize(
    ("name", "imitation"),
    [
        ("owner", "оwner"),  # Cyrillic o
        ("owner", "οwner"),  # Greek omicron
        ("owner", "0wner"),
        ("owner", "ｏｗｎｅｒ"),  # full width
        ("owner", "𝐨𝐰𝐧𝐞𝐫"),  # mathematical bold
        ("owner", "оwnеr"),  # two letters of another script
        ("Owner", "ОWNER"),  # Cyrillic O, other case
        ("carmen", "carrnen"),
        ("Igor", "lgor"),
        ("bill", "bi11"),
        ("paypal", "pаypаl"),
        ("rider", "ridеr"),
        ("anna", "an\u200bna"),  # what is not seen
        ("O&#39;Hara", "О&#39;Hara"),  # as stored: escaped
        ("café", "cafe\u0301"),
    ],
)
def test_an_imitation_has_the_look_of_the_name(name: str, imitation: str) -> None:
    assert set(looks(name)) & set(looks(imitation))


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("owner", "owners"),
        ("jose", "josé"),
        ("anna", "hanna"),
        ("иван", "ivan"),
        ("user12", "user21"),
        ("田中", "田口"),
        ("b", "d"),
    ],
)
def test_names_that_only_resemble_each_other_have_not(name: str, other: str) -> None:
    assert not set(looks(name)) & set(looks(other))


def test_a_look_is_that_of_itself() -> None:
    for name in ("Ærøskøbing", "оwner", "ﬃ", "O0o", "ⅿm", "І1l|"):
        for look in looks(name):
            assert look in looks(look)
