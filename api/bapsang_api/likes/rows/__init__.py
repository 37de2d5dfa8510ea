"""Likes as they stand in the database, for reading."""
