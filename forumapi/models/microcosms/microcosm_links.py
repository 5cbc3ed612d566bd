"""Breadcrumbs and links to microcosms, as JSON made from the tree for one viewer; no title of an unreadable microcosm
is in them.
"""

from __future__ import annotations

from typing import Any

from forumapi import itemtypes
from forumapi.permissions.evaluator import Tree
from forumapi.permissions.readable_microcosms import ReadableMicrocosms
from forumapi.wire.json_fragments import dumps


def breadcrumb(
    tree: Tree, view: ReadableMicrocosms, microcosm_id: int, *, with_itself: bool
) -> bytes:
    """Render the ancestors of a microcosm, outermost first, without the root (content 1.9), as a JSON array; an empty
    one for an unknown microcosm.

    `with_itself`: the microcosm too, as the last one, for the breadcrumb of an item in it. `view`: microcosms of `tree`
    that the viewer may list; all others are left out, since a title is content.
    """
    key = ("crumb", microcosm_id, with_itself)
    found: bytes | None = view.cache.get(key)
    if found is None:
        found = view.keep(key, _breadcrumb(tree, view, microcosm_id, with_itself))
    return found


def _breadcrumb(
    tree: Tree, view: ReadableMicrocosms, microcosm_id: int, with_itself: bool
) -> bytes:
    node = tree.nodes.get(microcosm_id)
    if node is None:
        return b"[]"
    entries = []
    for id in node.path[1:] if with_itself else node.path[1:-1]:
        if id in view.set:
            ancestor = tree.nodes[id]
            entries.append(
                {
                    "rel": "microcosm ancestor",
                    "href": itemtypes.href(itemtypes.MICROCOSM, id),
                    "title": ancestor.title,
                    "id": id,
                    "level": ancestor.level,
                }
            )
    return dumps(entries)


def microcosm_link(tree: Tree, view: ReadableMicrocosms, microcosm_id: int) -> bytes:
    """Render the link `microcosm` of an item in this microcosm, as JSON; without a title unless the microcosm is in
    `view`, the microcosms of `tree` that the viewer may list.
    """
    key = ("link", microcosm_id)
    found: bytes | None = view.cache.get(key)
    if found is None:
        link: dict[str, Any] = {
            "rel": "microcosm",
            "href": itemtypes.href(itemtypes.MICROCOSM, microcosm_id),
        }
        if microcosm_id in view.set:
            link["title"] = tree.nodes[microcosm_id].title
        found = view.keep(key, dumps(link))
    return found


def child_link(tree: Tree, view: ReadableMicrocosms, microcosm_id: int) -> bytes:
    """Render the entry for this microcosm, which the viewer can read, in the member `children` of its parent's summary,
    as JSON with the title; `view` serves only as the cache of that JSON.
    """
    key = ("child", microcosm_id)
    found: bytes | None = view.cache.get(key)
    if found is None:
        node = tree.nodes[microcosm_id]
        link: dict[str, Any] = {
            "rel": "microcosm child",
            "href": itemtypes.href(itemtypes.MICROCOSM, microcosm_id),
            "title": node.title,
        }
        if node.logo_url:
            link["logoUrl"] = node.logo_url
        link["id"] = microcosm_id
        found = view.keep(key, dumps(link))
    return found


def whole_tree(tree: Tree, listable: ReadableMicrocosms) -> bytes:
    """Render the microcosms `listable` of `tree` as the flat JSON array of content 2.6: parents before children,
    siblings by sequence, then id.
    """
    found: bytes | None = listable.cache.get("whole tree")
    if found is None:
        found = listable.keep("whole tree", _whole_tree(tree, listable.set))
    return found


def _whole_tree(tree: Tree, visible: frozenset[int]) -> bytes:
    entries: list[dict[str, Any]] = []
    for id in tree.order:
        if id not in visible:
            continue
        node = tree.nodes[id]
        is_root = node.parent_id == 0
        entry: dict[str, Any] = {
            "rel": "microcosm",
            "href": "/api/v1/microcosms" if is_root else itemtypes.href(itemtypes.MICROCOSM, id),
            "title": node.title,
            "id": id,
            "level": node.level,
        }
        if not is_root:
            entry["parentId"] = node.parent_id
        entries.append(entry)
    return dumps(entries)


def visible(view: ReadableMicrocosms, tree: Tree, ignored: list[int]) -> ReadableMicrocosms:
    """Return the microcosms of `view` without those that have an id in `ignored`, and without all microcosms of `tree`
    below these; `view` itself if nothing is ignored.
    """
    if not ignored:
        return view
    key = ("visible", tuple(ignored))
    found: ReadableMicrocosms | None = view.cache.get(key)
    if found is None:
        hidden = {below for id in ignored if id in tree.nodes for below in tree.nodes[id].subtree}
        found = ReadableMicrocosms(tuple(id for id in view.ids if id not in hidden))
        view.keep(key, found)
    return found
