"""A site that a small forum was loaded into, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forumapi.config import Config
from forumapi.models.sites.site_cache import SiteCache
from forumapi.porting.layout import ForumReader
from forumapi.porting.loading.imported_ids import Origin
from forumapi.porting.loading.loader import Loader, Outcome
from forumapi.porting.loading.planning import ImportPlan, Planner
from forumapi.porting.loading.verification import Verifier, table
from tests.factories import Factory, Site
from tests.fixtures import PLATFORM_DOMAIN
from tests.porting import boards

# Tables of a site that an import writes.
TABLES = (
    "profiles profile_counters microcosms microcosm_counts roles role_profiles items item_views item_authors polls"
    " poll_choices poll_ballots huddles huddle_participants comments comment_revisions comment_mentions attachments"
    " attributes reactions bookmarks watchers ignores bans read_marks imported_items import_leftouts import_marks"
)


class Moved:
    """A site that a forum was loaded into."""

    def __init__(self, make: Factory, config: Config, site: Site, reader: ForumReader) -> None:
        self.make = make
        self.config = config
        self.site = site
        self.reader = reader
        with make.database.write() as tx:
            self.origin = Origin.find_or_create(tx, site.id, "import", reader.board())

    def load(self, *granted: str) -> Outcome:
        """Load what did not come yet."""
        tx = self.make.database.read()
        site = SiteCache(self.make.database, self.make.platform_domain).by_id(self.site.id, tx)
        tx.end()
        assert site is not None
        return Loader(
            self.make.database, self.config, site, self.origin, self.reader, granted=granted
        ).run()

    def rows(self, statement: str, **params: Any) -> list[tuple[Any, ...]]:
        """Rows of a statement about the site."""
        return self.make.sql(statement, s=self.site.id, **params)

    def ids(self, item_type: int) -> dict[str, int]:
        """Our ids of a type by old ids."""
        return dict(
            self.rows(
                "SELECT old_id, item_id FROM imported_items WHERE site_id = %(s)s AND item_type_id = %(t)s",
                t=item_type,
            )
        )


@pytest.fixture
def config(tmp_path: Path, database_url: str) -> Config:
    """Settings with a store of files of its own."""
    return Config(
        environment="embedded",
        platform_domain=PLATFORM_DOMAIN,
        database_url=database_url,
        data_dir=str(tmp_path),
        files_path="files",
    )


@pytest.fixture
def moved(make: Factory, config: Config) -> Iterator[Moved]:
    """A new site with the forum about bikes."""
    made = Moved(make, config, make.site(), boards.bikes())
    made.load()
    yield made


def move_in(make: Factory, config: Config, reader: ForumReader) -> tuple[Moved, ImportPlan, str]:
    """Plan, load and verify a forum, which must be right; return the site, the plan, and the verification's table."""
    plan = Planner(reader).run()
    made = Moved(make, config, make.site(), reader)
    made.load()
    with make.database.write() as tx:
        site = SiteCache(make.database, make.platform_domain).by_id(made.site.id, tx)
        assert site is not None
        report = Verifier(tx, config, site, made.origin, reader).run()
    text = "\n".join(table(report))
    assert report.is_right, "\n".join([text, *map(str, report.differences[:20])])
    return made, plan, text
