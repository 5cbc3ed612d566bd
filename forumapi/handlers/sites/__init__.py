"""Handlers of sites, their settings, addresses and documents."""
