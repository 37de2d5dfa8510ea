"""What stands between a client and a server: a wire that writes down what is sent, and somebody in the server's place."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

_CLIENT_SSL = 0x08  # of the second byte of a MySQL server's capabilities


def without_tls(greeting: bytes) -> bytes:
    """Return the first packet of a MySQL server without its offer of TLS, as whoever is in between would change it."""
    version_end = greeting.index(0, 5)  # behind the packet's header and the protocol's number
    capabilities = version_end + 1 + 4 + 8 + 1  # thread, salt, filler
    changed = bytearray(greeting)
    changed[capabilities + 1] &= ~_CLIENT_SSL
    return bytes(changed)


class Wiretap:
    """Carries connections to a port of 127.0.0.1, on a port of its own."""

    def __init__(self, target: int, change: Callable[[bytes], bytes]) -> None:
        self._target, self._change = target, change
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self._sent: list[bytes] = []
        self._ends: list[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def sent(self) -> bytes:
        """What all clients have sent so far."""
        return b"".join(self._sent)

    def close(self) -> None:
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                self.connections += 1
                self._ends += [client, server]
                threading.Thread(target=self._carry, args=(client, server, self._sent.append), daemon=True).start()
                threading.Thread(target=self._answer, args=(server, client), daemon=True).start()

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            client.sendall(self._change(server.recv(65_536)))
        self._carry(server, client, lambda _: None)

    @staticmethod
    def _carry(source: socket.socket, target: socket.socket, seen: Callable[[bytes], None]) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                seen(data)
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def tapped(target: int, change: Callable[[bytes], bytes] = lambda first: first) -> Iterator[Wiretap]:
    """Yield a wire to a port of 127.0.0.1; `change` is what becomes of the first bytes that a server sends."""
    wire = Wiretap(target, change)
    try:
        yield wire
    finally:
        wire.close()


class Impostor:
    """Stands in the place of a server, with a certificate of its own, and writes down what it is told by TLS."""

    def __init__(self, target: int, certificate: Path, *, mysql: bool) -> None:
        self._target, self._mysql = target, mysql
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.refused = 0  # handshakes that clients have ended
        self.told: list[bytes] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with client, contextlib.suppress(OSError):
                    self._listen_to(client)

    def _listen_to(self, client: socket.socket) -> None:
        if self._mysql:  # it greets as the real one does, and is then asked for TLS
            with socket.create_connection(("127.0.0.1", self._target)) as server:
                client.sendall(server.recv(65_536))
            client.recv(36)
        try:
            secured = self._context.wrap_socket(client, server_side=True)
        except ssl.SSLError:
            self.refused += 1
            return
        with secured:
            if told := secured.recv(65_536):
                self.told.append(told)
            else:
                self.refused += 1


@contextlib.contextmanager
def impersonated(target: int, certificate: Path, *, mysql: bool) -> Iterator[Impostor]:
    """Yield an impostor of the server at a port of 127.0.0.1."""
    impostor = Impostor(target, certificate, mysql=mysql)
    try:
        yield impostor
    finally:
        impostor.close()
