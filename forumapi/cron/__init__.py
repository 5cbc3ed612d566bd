"""Scheduled jobs: `schedule` says what runs when, `jobs` what it does, `runner` that it runs once."""
