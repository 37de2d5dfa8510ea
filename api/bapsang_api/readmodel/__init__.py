"""The read model: what readers see, kept in each process, and the one rule by which it may be served."""
