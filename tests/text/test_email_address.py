"""E-mail addresses: platform 4.1, P-28, P-29, vectors of platform 13."""

from __future__ import annotations

import pytest

from forumapi.text.email_address import canonical, same_person_key, valid


@pytest.mark.parametrize(
    ("address", "form"),
    [
        ("Jo.Hn+x@GoogleMail.com", "john@gmail.com"),
        ("a.b@yahoo.fr", "ab@yahoo.com"),
        ("(x)ana@me.com", "ana@icloud.com"),
        ("ana(x)@mac.com", "ana@icloud.com"),
        ("ana@gmx.co.uk", "ana@gmx.de"),
        ("ana@btopenworld.com", "ana@btinternet.com"),
        ("ana@virgin.net", "ana@virginmedia.com"),
        ("ana@yahoomail.com", "ana@yahoo.com"),
        ("ana@yahoo.com.au", "ana@yahoo.com"),
        ("Ana@Example.ORG", "ana@example.org"),
    ],
)
def test_the_canonical_form_folds_spellings(address: str, form: str) -> None:
    assert canonical(address) == form
    assert canonical(form) == form


def test_only_gmail_ignores_dots_and_tails_for_signing_in() -> None:
    assert same_person_key("Jo.Hn+x@GoogleMail.com") == same_person_key("john@gmail.com")
    assert same_person_key("Ana@Example.org") == "ana@example.org"
    assert same_person_key("a.b@example.org") != same_person_key("ab@example.org")
    assert same_person_key("ab+x@example.org") != same_person_key("ab@example.org")
    assert same_person_key("x@yahoo.fr") != same_person_key("x@yahoo.com")
    assert same_person_key("+a@gmail.com") != same_person_key("+b@gmail.com")


@pytest.mark.parametrize(
    "address",
    [
        "owner@bikes.test",
        "a@b.co",
        "o'hara+x@mail.example.org",
        "a" * 64 + "@example.org",
        "1@2.3x",
    ],
)
def test_an_address_is_valid(address: str) -> None:
    assert valid(address)


@pytest.mark.parametrize(
    "address",
    [
        *("", "@", "a", "a@", "@b.co", "a@b", "a@b@c.de", "a b@c.de", "a@b.co\n", "\na@b.co"),
        *(".a@b.co", "a.@b.co", "a..b@c.de", "a@-b.co", "a@b-.co", "a@.co", "a@b..co", "a@b.co."),
        *(
            '"a"@b.co',
            "a@[127.0.0.1]",
            "Ana <a@b.co>",
            "a@b.co,c@d.ef",
            "ä@b.co",
            "a@bücher.example",
        ),
        *(
            "a@b.co\r\nBcc: x@y.zz",
            "a" * 65 + "@b.co",
            "a@" + "b" * 64 + ".co",
            "a@" + "b." * 130 + "co",
        ),
        *("a\x00@b.co", "<a@b.co>", "a@b_c.de"),
    ],
)
def test_an_address_is_refused(address: str) -> None:
    assert not valid(address)
