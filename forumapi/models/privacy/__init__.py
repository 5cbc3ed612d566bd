"""Personal data: what each table holds of people, copies of it, and its erasing."""
