"""How pages are counted, kept and confirmed."""
