"""Webhooks: registering them, and what receivers get."""
