"""A network between a client and a server that can fall silent: packets are lost, and no end of a connection is told."""

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Wire:
    """Carries bytes to a server until it is cut."""

    def __init__(self) -> None:
        self.port = 0
        self._whole = asyncio.Event()
        self._whole.set()

    def cut(self) -> None:
        """Lose everything from now on, also that an end hangs up."""
        self._whole.clear()

    async def carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65_536):
                await self._whole.wait()
                target.write(data)
                await target.drain()
        await self._whole.wait()
        target.close()


@contextlib.asynccontextmanager
async def wire_to(host: str, port: int) -> AsyncIterator[Wire]:
    """Yield a wire to the server at that address, on a port of 127.0.0.1."""
    wire = Wire()
    tasks: set[asyncio.Task[None]] = set()
    ends: list[asyncio.StreamWriter] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(host, port)
        ends.extend((writer, far_writer))
        for task in (wire.carry(reader, far_writer), wire.carry(far_reader, writer)):
            tasks.add(asyncio.create_task(task))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    wire.port = server.sockets[0].getsockname()[1]
    try:
        yield wire
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for end in ends:
            end.transport.abort()
        await asyncio.gather(*(end.wait_closed() for end in ends), return_exceptions=True)
