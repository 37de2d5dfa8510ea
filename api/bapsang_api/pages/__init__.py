"""What the server's own pages have in common: the layout around each, and their style sheet."""
