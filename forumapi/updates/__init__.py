"""Updates about what is watched: who gets them, in the list, as mail, as push and as a digest."""
