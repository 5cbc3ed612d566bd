"""Things that the platform keeps, and their SQL."""
