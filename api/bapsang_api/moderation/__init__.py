"""What administrators do to users and posts, and the record of it."""
