"""Pages of people, of one's own profile, and of roles."""
