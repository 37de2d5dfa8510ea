"""Photos: what people upload becomes what pages load. Decoding happens in a process of its own, which has next to no rights.

`process` starts it, limits it and judges how it ended; `child` is what runs there. Knows no database, bucket or server.
"""
