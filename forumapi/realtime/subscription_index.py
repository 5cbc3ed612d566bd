"""Index of subscriptions: topics, and the live clients that follow each. Checks no rights."""

from __future__ import annotations

from forumapi.realtime.live_clients import Follow, LiveClient
from forumapi.realtime.topic_names import Topic


class Index:
    """Subscriptions of the live clients of one site, by topic, without clients that catch up; in a replay,
    subscriptions of the one client that catches up.
    """

    def __init__(self) -> None:
        self._by_topic: dict[Topic, dict[LiveClient, Follow]] = {}

    def add(self, client: LiveClient, follow: Follow) -> None:
        """Add a client's subscription, in place of its earlier one to the same topic."""
        self._by_topic.setdefault(follow.topic, {})[client] = follow

    def discard(self, client: LiveClient, topic: Topic) -> None:
        """Remove a client's subscription to a topic, if there is one."""
        followers = self._by_topic.get(topic)
        if followers is not None:
            followers.pop(client, None)
            if not followers:
                del self._by_topic[topic]

    def leave(self, client: LiveClient) -> None:
        """Remove all subscriptions of a client from the index; the client's own list of them stays."""
        for topic in client.follows:
            self.discard(client, topic)

    def enter(self, client: LiveClient) -> None:
        """Add all subscriptions in the client's own list, since it has caught up."""
        for follow in client.follows.values():
            self.add(client, follow)

    def followers(self, topic: Topic) -> dict[LiveClient, Follow]:
        """Return the subscriptions to a topic, by client, as the dict in the index itself, which later changes of the
        index change too; a new {} for none.
        """
        return self._by_topic.get(topic, {})

    def items(self) -> list[tuple[Topic, list[LiveClient]]]:
        """Return each topic with the clients that follow it; a copy, which later changes of the index leave alone."""
        return [(topic, list(clients)) for topic, clients in self._by_topic.items()]

    def __bool__(self) -> bool:
        return bool(self._by_topic)
