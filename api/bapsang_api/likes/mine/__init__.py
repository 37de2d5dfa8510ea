"""The posts that a user likes."""
