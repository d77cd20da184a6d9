"""The tap passes both ways on, keeps what went forward, and holds a rate."""

import socket
import threading
import time

from latentwire_evaluation.tap import Tap


def echo(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        while data := connection.recv(4096):
            connection.sendall(data)


def there_and_back(tap: Tap, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", tap.port), timeout=60) as end:
        end.sendall(data)
        back = b""
        while len(back) < len(data):
            back += end.recv(4096)
        return back


def test_bytes_pass_and_are_kept_and_a_rate_is_never_exceeded():
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=lambda: [echo(listener) for _ in range(2)], daemon=True).start()
    tap = Tap()
    tap.towards(listener.getsockname()[1])
    data = bytes(range(256)) * 100
    assert there_and_back(tap, data) == data and tap.take() == data and tap.take() == b""
    tap.bits_per_second = 1e6
    begun = time.monotonic()
    assert there_and_back(tap, data) == data
    assert time.monotonic() - begun >= len(data) * 8 / 1e6 * 0.99
    tap.close()
    listener.close()
