"""Handlers of what the operators of the platform set and see: states, plans and usage of sites, and growth."""
