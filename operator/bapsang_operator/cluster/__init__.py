"""The connection to the apiserver: client, credentials, and the Lease that fences every write. Knows no Community."""
