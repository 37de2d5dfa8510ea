"""One-time links in letters: by them somebody proves that an address is theirs."""
