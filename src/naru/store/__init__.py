"""What the engine remembers: one SQLite database."""
