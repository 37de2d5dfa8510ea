"""Posts as readers see them: what is read of them, how it looks on the wire, and the copies that each process keeps."""
