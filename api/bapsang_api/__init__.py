"""Bapsang's community API, its batch jobs and its command line."""

__version__ = "0.1.0"
