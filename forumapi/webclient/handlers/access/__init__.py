"""Pages of signing in, of a site's sign-in methods, and of what an account holds."""
