"""Templates of pages, mails and legal documents, and the environment that compiles them.

A value is escaped in `.html` unless it is `Markup`; callers pass titles and names as `Markup`, since they are stored
escaped. Files of this folder alone are compiled; texts of site owners have `$names` (`updates/mail_templates.py`,
`models/sites/legal.py`).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

__all__ = ["DARK", "ENVIRONMENT", "LIGHT", "render", "source"]


class Look(NamedTuple):
    """Colours of a scheme, light or dark, as CSS: `#rrggbb`. `accent`: links and buttons; `paper`: background; `ink`:
    text; `bad`: errors; `raised`: background of fields and code.

    `quiet` (lesser text) and `rule` (lines) are mixed from `ink` and `paper` in advance, since mail programs can't mix.
    """

    accent: str
    paper: str
    ink: str
    bad: str
    raised: str
    quiet: str
    rule: str


LIGHT: Final = Look("#19634c", "#fbfaf7", "#1f1e1b", "#a3162a", "#fdfcfa", "#6a6966", "#d8d7d4")
DARK: Final = Look("#7cc9ad", "#171816", "#e6e3dc", "#ff9d9d", "#1f201d", "#8f8e89", "#2f302d")

_LOADER: Final = PackageLoader("forumapi")
ENVIRONMENT: Final = Environment(
    loader=_LOADER,
    autoescape=select_autoescape(("html",)),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    auto_reload=False,
    # Each template is compiled once a process: there are no others than those of the package.
    cache_size=-1,
)
ENVIRONMENT.globals.update(light=LIGHT, dark=DARK)


def render(name: str, /, **values: object) -> str:
    """Return the text of a template filled with `values`, by its path in forumapi/templates, such as `pages/page.css`.
    `values`: value of each of the template's variables by name, besides `light` and `dark` (Look), which every template
    has. Raises TemplateNotFound for an unknown path, UndefinedError if the template uses a name that has no value.
    """
    return ENVIRONMENT.get_template(name).render(values)


def source(name: str) -> str:
    """Return the unrendered text of a file in forumapi/templates, by its path there. Raises TemplateNotFound for an
    unknown path.
    """
    return _LOADER.get_source(ENVIRONMENT, name)[0]
