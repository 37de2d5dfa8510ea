"""Upkeep: what whoever runs the platform does to the data as a whole: count again, and erase a person."""
