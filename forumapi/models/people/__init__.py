"""Users, profiles, bans, and what each profile has read or ignores."""
