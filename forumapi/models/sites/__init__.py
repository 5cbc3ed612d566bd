"""Sites, their rules, texts, domains and figures."""
