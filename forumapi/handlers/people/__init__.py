"""Handlers of profiles, users, roles, bans and ignored people."""
