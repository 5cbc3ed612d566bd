"""Watchers, updates, live events, webhooks and addresses that mail bounced from."""
