"""Who is calling: tokens, and the sign-in methods that hand them out."""
