"""Sites, held in memory by host name, their rules, texts and domains."""
