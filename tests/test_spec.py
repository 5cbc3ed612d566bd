"""Every citation of the contract, of a decision and of docs/architecture.md leads somewhere in this repository."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from forumapi import errors, itemtypes, routes
from forumapi.config import Config
from tests.syntax import statements

ROOT = Path(__file__).parents[1]
SPEC = ROOT / "docs" / "spec"
PARTS = ("platform", "content", "discovery")

# Where citations stand; recorded answers and other people's texts cite nothing of ours.
FOLDERS = ("docs", "etc", "forumapi", "scripts", "sql", "tests", "upstart")
SUFFIXES = frozenset({"", ".css", ".html", ".js", ".md", ".py", ".sql", ".toml", ".txt"})
FOREIGN = ("tests/wire/recorded/", "tests/text/commonmark", "tests/test_spec.py")

SECTION = r"\d{1,2}(?:\.\d{1,2})?"
NAMED = re.compile(
    rf"\b(?i:(platform|content|discovery)) ({SECTION}(?:(?:, | and | to ){SECTION})*)(?!\.?[\w%])"
)
RULE = re.compile(r"(?<![\w-])[A-Z]-\d\d(?![\w-])")
DECISION = re.compile(r"\bdecisions? (\d{1,4})(?: and (\d{1,4}))?")
ARCHITECTURE = re.compile(r"\barchitecture,? ([a-z][a-z ]*|\d[\d.]*)")
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)")
PATH = re.compile(r"\bdocs/spec/(\w+\.md)(?:#([\w-]+))?")
# A section without its part, and a rule as nobody spells it.
BARE = re.compile(r"\(\d{1,2}\.\d{1,2}[,)]|\b(?!S3\b)[GILMNRSTUVW]\d{1,2}\b")
WRAP = re.compile(r"\s*\n[ \t]*(?:#|--|\*)?[ \t]*")
CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)


def sources() -> list[Path]:
    """Every text file of the repository in which something may be cited."""
    found = [path for path in ROOT.iterdir() if path.is_file() and path.suffix in SUFFIXES]
    for folder in FOLDERS:
        found += [path for path in (ROOT / folder).rglob("*") if path.is_file()]
    return sorted(
        path
        for path in found
        if path.suffix in SUFFIXES
        and "__pycache__" not in path.parts
        and not name(path).startswith((*FOREIGN, "."))
    )


def name(path: Path) -> str:
    """Path below the repository's root."""
    return path.relative_to(ROOT).as_posix()


SOURCES = sources()
TEXTS = {name(path): path.read_text(encoding="utf-8", errors="replace") for path in SOURCES}
PAGES = {path: text for path, text in TEXTS.items() if path.endswith(".md")}


def anchors(page: str) -> set[str]:
    """Anchors of a Markdown page: those of its headings, as hosts of repositories make them, and its own."""
    text = PAGES[page]
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    slugs = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r'<a id="([^"]+)"></a>', text))


ANCHORS = {page: anchors(page) for page in PAGES}
RULES = {
    code: part
    for part in PARTS
    for code in re.findall(r'<a id="([a-z]-\d\d)"></a>', PAGES[f"docs/spec/{part}.md"])
}
DECISIONS = {int(path.name[:4]) for path in (ROOT / "docs" / "decisions").glob("0*.md")}


def leads() -> frozenset[str]:
    """Headings and bold beginnings of paragraphs in docs/architecture.md, in small letters."""
    text = PAGES["docs/architecture.md"]
    found = re.findall(r"^(?:#+ (.*)|\*\*([^*]*?)[.,:]?\*\*)", text, re.MULTILINE)
    return frozenset((heading or lead).lower() for heading, lead in found)


def faults(text: str) -> Iterator[str]:
    """Citations in `text` that lead nowhere."""
    flat = WRAP.sub(" ", text)
    for part, numbers in NAMED.findall(flat):
        for number in re.findall(SECTION, numbers):
            if number.replace(".", "-") not in ANCHORS[f"docs/spec/{part.lower()}.md"]:
                yield f"{part} {number}"
    yield from (code for code in RULE.findall(flat) if code.lower() not in RULES)
    for pair in DECISION.findall(flat):
        yield from (f"decision {one}" for one in pair if one and int(one) not in DECISIONS)
    for lead in ARCHITECTURE.findall(flat):
        if not any(known.startswith(lead) or lead.startswith(known) for known in leads()):
            yield f"architecture, {lead}"
    for page, anchor in PATH.findall(flat):
        if f"docs/spec/{page}" not in PAGES or (
            anchor and anchor not in ANCHORS[f"docs/spec/{page}"]
        ):
            yield f"docs/spec/{page}#{anchor}"


def prose(source: str) -> str:
    """Comments and docstrings of a Python module."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in statements(ast.parse(source)) if isinstance(node, kinds)]
    return "\n".join([*comments, *(ast.get_docstring(node) or "" for node in nodes)])


def test_every_citation_leads_somewhere() -> None:
    lost = {path: found for path, text in TEXTS.items() if (found := sorted(set(faults(text))))}

    assert lost == {}


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        ("(content 1.9, P-34)", []),
        ("content 5.5 to 5.7, platform 2.2\n    # and 2.3; decision 8; architecture, bytes", []),
        ("(content 1.99)", ["content 1.99"]),
        ("content 5.5\n# and 5.99", ["content 5.99"]),
        ("Z-01, P-99", ["Z-01", "P-99"]),
        ("decision 0999", ["decision 0999"]),
        ("architecture, the clock", ["architecture, the clock"]),
        ("architecture 2.4", ["architecture, 2.4"]),
        ("docs/spec/content.md#1-99", ["docs/spec/content.md#1-99"]),
    ],
)
def test_a_citation_that_leads_nowhere_is_found(text: str, lost: list[str]) -> None:
    assert list(faults(text)) == lost


def test_no_section_is_cited_without_its_part() -> None:
    bare = {
        path: found
        for path, text in TEXTS.items()
        if path.endswith(".py") and BARE.search(text) and (found := BARE.findall(prose(text)))
    }

    assert bare == {}


def test_links_between_pages_lead_somewhere() -> None:
    for page, content in PAGES.items():
        for target, anchor in LINK.findall(CODE.sub("", content)):
            path = (ROOT / page).parent / target if target else ROOT / page
            assert path.exists(), f"{page}: {target}"
            if anchor:
                assert anchor in ANCHORS[name(path.resolve())], f"{target}#{anchor}"


def test_citations_are_links_in_markdown() -> None:
    for page, content in PAGES.items():
        text = re.sub(r"\[[^\]]*\]\([^)]*\)", "", CODE.sub("", content))
        # The contract's own pages name a rule by its code, as code does.
        kinds = (NAMED, DECISION) if page.startswith("docs/spec/") else (NAMED, DECISION, RULE)

        assert [match.group() for kind in kinds for match in kind.finditer(text)] == [], page


@pytest.mark.parametrize("part", PARTS)
def test_each_section_and_rule_has_one_anchor(part: str) -> None:
    text = PAGES[f"docs/spec/{part}.md"]
    sections = re.findall(r'<a id="([\d-]+)"></a>\n#+ (\d[\d.]*) ', text)
    own = re.findall(r'<a id="([^"]+)"></a>', text)

    assert all(anchor == number.replace(".", "-") for anchor, number in sections)
    assert len(sections) == len(re.findall(r"^#+ \d", text, re.MULTILINE))
    assert len(own) == len(set(own))


def test_a_rule_stands_in_one_part() -> None:
    found = [
        code
        for part in PARTS
        for code in re.findall(
            r'<a id="([a-z]-\d\d)"></a>\*\*([A-Z]-\d\d)\*\*', PAGES[f"docs/spec/{part}.md"]
        )
    ]

    assert all(anchor == code.lower() for anchor, code in found)
    assert len(found) == len(RULES)


# ---------------------------------------------------------------- tables of the contract, held against the code


def section(part: str, number: str) -> str:
    """Text of one section of the contract, up to the next."""
    text = PAGES[f"docs/spec/{part}.md"]
    rest = text[text.index(f'<a id="{number.replace(".", "-")}"></a>') + 1 :]
    return re.split(r'^<a id="[\d-]+"></a>$', rest, maxsplit=1, flags=re.MULTILINE)[0]


def test_the_codes_of_errors_are_those_of_the_engine() -> None:
    rows = re.findall(r"^\| (\d{1,2}) \| \d{3} ", section("platform", "1.6"), re.MULTILINE)
    codes = {
        value
        for key, value in vars(errors).items()
        if key[0].isupper() and key.isupper() and isinstance(value, int)
    }

    assert [int(code) for code in rows] == sorted(codes)


def test_item_types_are_those_of_the_engine() -> None:
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", section("platform", "11"), re.MULTILINE)

    assert rows == [(str(kind.id), kind.name) for kind in itemtypes.TYPES]


def test_settings_that_are_named_exist() -> None:
    rows = re.findall(r"^\| (`.*?) \|", section("platform", "10"), re.MULTILINE)
    names = {found for row in rows for found in re.findall(r"`(\w+)`", row)}
    pages = "".join(PAGES[f"docs/spec/{part}.md"] for part in PARTS)
    names |= set(re.findall(r"\((?:[^()]*, )?`([a-z]+(?:_[a-z]+)+)`\)", pages))

    assert names <= set(Config.__dataclass_fields__)


def shape(path: str) -> str:
    """A path with nameless parameters."""
    return re.sub(r"<[^>]*>|\{[^}]*\}(?:\.\{[^}]*\})?", "{}", path)


ALLOW = {
    (host, shape(path)): handler.allow
    for host, table in (("R", routes.ROOT), ("S", routes.SITE))
    for path, handler in table.items()
}


def test_the_methods_of_each_route_are_those_of_the_engine() -> None:
    told: dict[tuple[str, str], str] = {}
    for hosts, paths, allow in re.findall(
        r"^\| ([RS ]+) \| (`.*?) \| `([A-Z,]+)`", section("platform", "12"), re.MULTILINE
    ):
        for path in re.findall(r"`([^`]*)`", paths):
            prefixes = ("/api/v1/microcosms/{}/roles", "/api/v1/roles") if path[0] == "P" else ("",)
            for prefix in prefixes:
                whole = prefix + shape(path.removeprefix("P"))
                told |= {(host, whole): allow for host in hosts.split()}
    for paths, allow in re.findall(
        r"^\| (`.*?) \| `([A-Z,]+)`", section("content", "1.12"), re.MULTILINE
    ):
        for path in map(shape, re.findall(r"`([^`]*)`", paths)):
            if path.startswith("…"):
                ending = path.removeprefix("…")
                found = [whole for host, whole in ALLOW if host == "S" and whole.endswith(ending)]
                assert found, path
                told |= {("S", whole): allow for whole in found}
            else:
                told["S", f"/api/v1/{path.removeprefix('/')}"] = allow

    assert len(told) > 80
    assert {key: allow for key, allow in told.items() if ALLOW.get(key) != allow} == {}
