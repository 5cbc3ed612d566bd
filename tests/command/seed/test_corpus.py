"""Texts of the data sets: where they come from."""

from __future__ import annotations

import sys

import pytest

from forumapi.command.seed.corpus import Corpus, SeedError


def test_without_the_texts_the_seed_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "chitchat_dataset", None)

    with pytest.raises(SeedError, match=r"install forumapi\[demo\]"):
        Corpus.read()
