"""What the write-back does to the database."""
