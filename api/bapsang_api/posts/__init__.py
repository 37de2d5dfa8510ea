"""Posts: writing, listing, reading, and counting views."""
