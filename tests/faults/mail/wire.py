"""What lies between a worker and the mail server: carries the conversation line by line, and tells of its steps."""

from __future__ import annotations

import re
from typing import Final

from tests.faults.photos.wire import AFTER, BEFORE, HALF, Ends, Told

COMMANDS: Final = {b"MAIL": "mail", b"RCPT": "rcpt", b"DATA": "data"}
#: The step of the letter itself; its moments are before the first byte, halfway, and answered by the server, not to the worker.
CONTENT: Final = "content"
_END: Final = b"\r\n.\r\n"
_ID: Final = re.compile(rb"^Message-ID: <(\w+)@", re.MULTILINE)


def carrying(sent: list[str]) -> object:
    """Return what carries a connection; it adds the id of each letter that the server has taken to `sent`."""

    async def carry(client: Ends, server: Ends, told: Told) -> None:
        await _answer(server, client)
        while line := await client[0].readline():
            step = COMMANDS.get(line[:4].upper(), "")
            if step:
                await told(step, BEFORE)
            server[1].write(line)
            code = await _answer(server, client)
            if step == "data" and code == 354:
                await _content(client, server, told, sent)

    return carry


async def _content(client: Ends, server: Ends, told: Told, sent: list[str]) -> None:
    content = await client[0].readuntil(_END)
    await told(CONTENT, BEFORE)
    server[1].write(content[: len(content) // 2])
    await server[1].drain()
    await told(CONTENT, HALF)
    server[1].write(content[len(content) // 2 :])
    answer = await server[0].readline()
    found = _ID.search(content)
    if found and answer.startswith(b"250"):
        sent.append(found[1].decode())
    await told(CONTENT, AFTER)
    client[1].write(answer)
    await client[1].drain()


async def _answer(server: Ends, client: Ends) -> int:
    """Carry an answer, which may have several lines; return its code."""
    while True:
        line = await server[0].readline()
        client[1].write(line)
        if line[3:4] != b"-":
            await client[1].drain()
            return int(line[:3] or 0)
