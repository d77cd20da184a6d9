"""A listener on the line between the two services: passes bytes on, at a given rate if asked to, and keeps a copy."""

from __future__ import annotations

import socket
import threading
import time

_CHUNK = 16 * 1024


class Tap:
    """Listens on a free loopback port; `towards(port)` starts passing on. `take()` gives what went forward since the last call."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        # Of the way forward; None is as fast as the loopback goes.
        self.bits_per_second: float | None = None
        self._kept, self._lock, self._open = bytearray(), threading.Lock(), []

    def towards(self, port: int) -> None:
        threading.Thread(target=self._accept, args=(port,), daemon=True).start()

    def take(self) -> bytes:
        with self._lock:
            kept, self._kept = bytes(self._kept), bytearray()
        return kept

    def close(self) -> None:
        for end in [self.listener, *self._open]:
            end.close()

    def _accept(self, port: int) -> None:
        while True:
            try:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", port))
            except OSError:
                return
            self._open += [near, far]
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._pass_on, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self._pass_on, args=(far, near, False), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, forward: bool) -> None:
        free_at = 0.0
        try:
            while data := source.recv(_CHUNK):
                if forward:
                    with self._lock:
                        self._kept += data
                    if self.bits_per_second:
                        free_at = max(free_at, time.monotonic()) + len(data) * 8 / self.bits_per_second
                        time.sleep(max(0.0, free_at - time.monotonic()))
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            for end in (source, target):
                end.close()
