"""Checks of what people write: local ones and services, the settings that turn them on, and their background work."""
