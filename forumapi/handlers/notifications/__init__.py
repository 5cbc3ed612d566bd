"""Handlers of watchers, updates, mail, live events and webhooks."""
