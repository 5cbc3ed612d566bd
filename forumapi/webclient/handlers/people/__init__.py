"""Pages of people, of one's own profile, of roles, bans and ignored people."""
