"""Handlers of reports, cases, actions of moderators, and statements of reasons."""
