"""Seed: fills an empty database with a made-up community of any size, the same one for the same numbers."""
