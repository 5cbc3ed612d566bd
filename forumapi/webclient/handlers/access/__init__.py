"""Pages of signing in, and of what an account holds."""
