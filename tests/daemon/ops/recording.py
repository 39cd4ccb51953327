"""A real HTTP server on loopback that keeps what it is sent, and may be slow, refuse or be dead."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Recorder:
    """What came, and how it is answered.

    Attributes:
        messages: (monotonic seconds, path, body) of each POST that was taken.
        beats: When GET came, in monotonic seconds.
        code: The answer's.
        delay_s: Before it.
    """

    def __init__(self) -> None:
        self.messages: list[tuple[float, str, dict]] = []
        self.beats: list[float] = []
        self.code = 200
        self.delay_s = 0.0
        self.port = 0

    def lines(self, path: str = "/") -> list[tuple[float, str]]:
        """Each alert's line, and when it came."""
        return [
            (at, line)
            for at, where, body in list(self.messages)
            if where == path
            for line in body["message"].splitlines()
        ]


@contextmanager
def recording() -> Iterator[Recorder]:
    recorder = Recorder()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            time.sleep(recorder.delay_s)
            if recorder.code == 200:
                recorder.messages.append((time.monotonic(), self.path, body))
            self._answer()

        def do_GET(self) -> None:
            recorder.beats.append(time.monotonic())
            self._answer()

        def _answer(self) -> None:
            self.send_response(recorder.code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    recorder.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield recorder
    finally:
        server.shutdown()
        server.server_close()
