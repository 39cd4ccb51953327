"""`hftd web` and `hftd metrics` attacked over HTTP: they only read, and no client holds them or another one up."""

import asyncio
import gc
import re
import signal
import socket
import subprocess
import sys
from contextlib import asynccontextmanager, suppress

import aiohttp
import pytest
from aiohttp.web_protocol import RequestHandler

from daemon.ops import serving
from daemon.ops.scraping import Metrics
from daemon.ops.web.server import Web
from hftd.errors import ConfigError
from tests.daemon.ops.crowds import crowd
from tests.notified import Listener

FIGURES = {"web": "/stream", "metrics": "/metrics"}
"""The path of what is nobody else's business."""


def make(kind):
    if kind == "web":
        return Web(lambda: ([crowd(2, 4)], []), None)
    return Metrics(lambda: b"hftd_halted 1\n")


@pytest.fixture(params=FIGURES)
def kind(request):
    return request.param


@asynccontextmanager
async def running(server):
    """Gives the port of a server."""
    try:
        yield await server.start("127.0.0.1", 0)
    finally:
        await server.stop()


async def asked(port, path="/healthz", method="GET", **headers):
    """(code, headers) of a request."""
    async with (
        aiohttp.ClientSession() as client,
        client.request(method, f"http://127.0.0.1:{port}{path}", headers=headers) as answer,
    ):
        return answer.status, answer.headers


async def raw(port, request: bytes) -> bytes:
    """What a request by hand is answered with."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    found = await asyncio.wait_for(reader.read(4096), 5)
    writer.close()
    return found


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_there_is_no_way_to_write(kind, method):
    async with running(make(kind)) as port:
        for path in ("/", FIGURES[kind], "/halt", "/healthz"):
            code, headers = await asked(port, path, method)
            assert (code, headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8080",
        "127.0.0.1.evil.example",
        "10.0.0.1",
        "localhost.",
        "",
        "[::1",
        "a b",
    ],
)
async def test_another_name_than_this_machine_s_is_refused(kind, host):
    async with running(make(kind)) as port:
        for path in ("/", FIGURES[kind], "/healthz"):
            found = await raw(port, f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert re.match(rb"HTTP/1.1 40[03] ", found), found


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:9000", "[::1]:8080", "LOCALHOST"])
async def test_this_machine_s_names_are_taken_at_whatever_port_a_tunnel_has(kind, host):
    async with running(make(kind)) as port:
        assert (await asked(port, Host=host))[0] == 200


async def test_requests_without_or_with_two_names_are_refused(kind):
    path = FIGURES[kind].encode()
    async with running(make(kind)) as port:
        assert b" 400 " in await raw(port, b"GET %b HTTP/1.1\r\n\r\n" % path)
        assert b" 403 " in await raw(port, b"GET %b HTTP/1.0\r\n\r\n" % path)
        two = b"GET %b HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n" % path
        assert re.match(rb"HTTP/1.[01] 40[03] ", await raw(port, two))


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    ],
)
async def test_pages_of_others_are_refused(kind, headers):
    async with running(make(kind)) as port:
        assert (await asked(port, FIGURES[kind], **headers))[0] == 403


@pytest.mark.parametrize("path", ["/" + "x" * 9000, "/healthz"])
@pytest.mark.parametrize("more", [b"", b"X: " + b"x" * 9000 + b"\r\n", b"X: y\r\n" * 2000])
async def test_what_is_too_large_is_refused_and_not_kept(kind, path, more):
    request = b"GET %b HTTP/1.1\r\nHost: localhost\r\n%b\r\n" % (path.encode(), more)
    async with running(make(kind)) as port:
        is_large = len(request) > 9000
        assert re.match(rb"HTTP/1.[01] 400 " if is_large else rb"HTTP/1.1 200 ", await raw(port, request))
        assert (await asked(port))[0] == 200


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHost: loc"])
async def test_a_connection_that_asks_nothing_is_hung_up_on(kind, monkeypatch, begun):
    monkeypatch.setattr(serving, "ASK_S", 0.3)
    async with running(make(kind)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(begun)
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), 5.0)
        writer.close()


async def test_who_asks_a_byte_at_a_time_is_hung_up_on(kind, monkeypatch):
    monkeypatch.setattr(serving, "ASK_S", 0.3)
    async with running(make(kind)) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        with pytest.raises(ConnectionError):
            for _ in range(200):
                writer.write(b"G")
                await writer.drain()
                await asyncio.sleep(0.02)
        writer.close()


async def test_who_does_not_read_the_answer_is_hung_up_on(monkeypatch):
    monkeypatch.setattr(serving, "ASK_S", 0.5)
    async with running(Metrics(lambda: b"hftd_halted 1\n" * 1_000_000)) as port:
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.connect(("127.0.0.1", port))
            slow.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            for _ in range(100):
                await asyncio.sleep(0.05)
                if slow.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) != b"\x01":
                    break
            assert slow.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) != b"\x01", "it is still connected"


async def test_no_more_connections_than_there_may_be_and_all_are_gone_after_a_while(kind, monkeypatch):
    monkeypatch.setattr(serving, "ASK_S", 1.0)
    monkeypatch.setattr(serving, "CONNECTIONS_MAX", 5)
    async with running(make(kind)) as port:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(5)]
        for _ in range(3):
            with pytest.raises((aiohttp.ClientConnectionError, ConnectionError)):
                await asked(port)
        for reader, writer in held:
            with suppress(ConnectionError):
                assert await asyncio.wait_for(reader.read(), 5.0) == b""
            writer.close()
        assert (await asked(port))[0] == 200


async def test_nothing_is_kept_of_a_connection_that_is_gone(kind):
    async with running(make(kind)) as port:
        for _ in range(50):
            assert (await asked(port))[0] == 200
        await asyncio.sleep(0.1)
        gc.collect()
        assert sum(isinstance(one, RequestHandler) for one in gc.get_objects()) < 10


async def test_who_asks_again_and_again_is_never_hung_up_on_in_the_midst(monkeypatch):
    monkeypatch.setattr(serving, "ASK_S", 0.2)
    async with running(make("metrics")) as port, aiohttp.ClientSession() as client:
        for _ in range(100):
            async with client.get(f"http://127.0.0.1:{port}/metrics") as answer:
                assert await answer.text() == "hftd_halted 1\n"
            await asyncio.sleep(0.01)


async def test_that_no_daemon_runs_is_an_answer():
    async with running(Metrics(lambda: b"")) as port:
        assert (await asked(port, "/metrics"))[0] == 200


async def test_a_port_that_is_taken_is_said(kind):
    async with running(make(kind)) as port:
        with pytest.raises(ConfigError, match="can't listen"):
            await make(kind).start("127.0.0.1", port)


@pytest.mark.parametrize("command", ["web", "metrics"])
def test_systemd_hears_when_it_serves_and_when_it_stops(command, tmp_path, monkeypatch):
    with Listener(tmp_path, monkeypatch) as systemd:
        arguments = [sys.executable, "-m", "daemon.cli", command, "--listen", "127.0.0.1:0"]
        with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as child:
            assert "STATUS=" in systemd.until("READY=1")
            assert child.stderr is not None and "http://127.0.0.1:" in child.stderr.readline()
            child.send_signal(signal.SIGTERM)
            systemd.until("STOPPING=1")
            assert child.wait(20.0) == 0
