"""The application with a mail server of tests/updates."""

from tests.updates import conftest

_box, box = conftest._box, conftest.box
