"""Updates about what is watched: who gets them, in the list, as mail and as a digest."""
