"""Users, profiles, roles and their criteria, bans, and what each profile has read or ignores."""
