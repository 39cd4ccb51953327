"""`hftd web` over HTTP: it only reads, who may not look is refused, and one slow or hostile client spoils nothing."""

import asyncio
import gzip
import json
import re
import socket
import time
from contextlib import asynccontextmanager, suppress

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from daemon.connector.secrets import Secret
from daemon.ops import serving
from daemon.ops.access import TOKEN_MIN, check_listen, has_token, read_token, why_refused
from daemon.ops.web import server as served
from daemon.ops.web.server import Web
from daemon.ops.web.static import page
from hftd.errors import ConfigError
from tests.daemon.ops.crowds import crowd

TOKEN = "a-token-of-some-length"


@asynccontextmanager
async def running(ask=None, token=None, every_s=0.05):
    """A server on a free port, that looks often; gives its port."""
    before, served.EVERY_S = served.EVERY_S, every_s
    web = Web(ask or (lambda: ([crowd(2, 4)], [])), token and Secret(token))
    try:
        yield await web.start("127.0.0.1", 0)
    finally:
        await web.stop()
        served.EVERY_S = before


async def asked(port, path="/", method="GET", **headers):
    """(code, headers, body) of a request; a header that is None is left out."""
    async with (
        aiohttp.ClientSession(auto_decompress=False) as client,
        client.request(method, f"http://127.0.0.1:{port}{path}", headers=headers) as answer,
    ):
        return answer.status, answer.headers, await answer.read()


async def events(response, count):
    """So many events of a stream."""
    found, left = [], b""
    async for chunk in response.content.iter_any():
        *whole, left = (left + chunk).split(b"\n\n")
        found += [json.loads(one.removeprefix(b"data: ")) for one in whole]
        if len(found) >= count:
            return found[:count]
    raise AssertionError(f"the stream ended after {len(found)} events")


async def test_the_page_comes_packed_with_its_policy_and_is_not_sent_twice():
    async with running() as port:
        code, headers, body = await asked(port, **{"Accept-Encoding": "gzip"})
        assert (code, headers["Content-Encoding"]) == (200, "gzip")
        assert gzip.decompress(body) == page().body
        code, _, body = await asked(port, **{"Accept-Encoding": "identity"})
        assert body == page().body
        code, _, body = await asked(port, **{"If-None-Match": headers["ETag"]})
        assert (code, body) == (304, b"")
        code, _, body = await asked(port, method="HEAD")
        assert (code, body) == (200, b"")
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'sha256-")
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert (await asked(port, "/else"))[0] == 404
        assert (await asked(port, "/healthz"))[2] == b"ok\n"


def test_the_page_names_no_other_host_and_has_no_handler_in_its_markup():
    text = page().body.decode()
    assert set(re.findall(r"https?://[^\s'\"]+", text)) == {"http://www.w3.org/2000/svg"}
    assert re.findall(r"<[^>]*\son\w+\s*=", text) == []
    assert "innerHTML" not in text
    assert "eval(" not in text
    assert len(page().packed) < 16_000


async def test_a_stream_begins_with_all_of_it_and_goes_on_with_what_changes():
    step = 0

    def ask():
        nonlocal step
        step += 1
        return [crowd(2, 4, step)], []

    async with (
        running(ask) as port,
        aiohttp.ClientSession() as client,
        client.get(f"http://127.0.0.1:{port}/stream") as response,
    ):
        assert response.headers["Content-Type"] == "text/event-stream"
        first, *others = await events(response, 4)
        assert first["whole"]
        assert set(first["rows"]) == set(first["specs"])
        assert len(first["rows"]["books"]) == 4
        for other in others:
            assert "whole" not in other
            assert other["rows"]["books"].keys() <= first["rows"]["books"].keys()


async def test_many_that_look_cost_one_round_of_questions_and_all_see_the_same():
    rounds = 0

    def ask():
        nonlocal rounds
        rounds += 1
        return [crowd(2, 4, rounds)], []

    async with running(ask, every_s=0.2) as port, aiohttp.ClientSession() as client:

        async def look():
            async with client.get(f"http://127.0.0.1:{port}/stream") as response:
                return await events(response, 4)

        seen = await asyncio.gather(*(look() for _ in range(20)))
        assert rounds <= 7
        assert all(one[-1] == seen[0][-1] for one in seen)


async def test_nobody_is_asked_often_while_nobody_looks():
    rounds = []
    async with running(lambda: (rounds.append(1), ([], []))[1], every_s=0.02) as port:
        await asyncio.sleep(0.5)
        assert len(rounds) <= 2
        before = len(rounds)
        async with aiohttp.ClientSession() as client, client.get(f"http://127.0.0.1:{port}/stream") as one:
            await events(one, 5)
        assert len(rounds) >= before + 3


async def test_a_round_that_fails_is_followed_by_the_next_one():
    rounds = 0

    def ask():
        nonlocal rounds
        rounds += 1
        if rounds in (1, 3):
            raise OSError("the folder is gone")
        return [crowd(1, 1, rounds)], []

    async with (
        running(ask) as port,
        aiohttp.ClientSession() as client,
        client.get(f"http://127.0.0.1:{port}/stream") as response,
    ):
        assert len(await events(response, 3)) == 3
    assert rounds >= 5


def test_a_link_on_another_page_may_open_this_one():
    headers = CIMultiDict({"Host": "localhost", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"})
    assert why_refused(CIMultiDictProxy(headers), is_loopback=True) == ""


@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from(["Host", "Origin", "Sec-Fetch-Site"]), st.text(max_size=30)))
def test_odd_headers_are_judged_and_never_raise(headers):
    refused = why_refused(CIMultiDictProxy(CIMultiDict(headers)), is_loopback=True)
    name = headers.get("Host", "").rpartition("@")[2].lower()
    assert refused or name.startswith(("localhost", "127.", "[::"))


async def test_with_a_token_figures_are_for_those_alone_that_bring_it():
    async with running(token=TOKEN) as port:
        for authorization in (
            "",
            "Bearer",
            f"Basic {TOKEN}",
            f"Bearer {TOKEN}x",
            f"Bearer {TOKEN[:-1]}",
            "Bearer é",
        ):
            code, headers, body = await asked(port, "/stream", Authorization=authorization)
            assert (code, headers["WWW-Authenticate"]) == (401, "Bearer")
            assert TOKEN.encode() not in body
        assert (await asked(port, f"/stream?token={TOKEN}"))[0] == 401
        assert (await asked(port, "/"))[0] == 200, "the page has no figures in it, and asks for the token"
        assert (await asked(port, "/stream", "HEAD", Authorization=f"Bearer {TOKEN}"))[0] == 200
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as client,
            client.get(f"http://127.0.0.1:{port}/stream") as response,
        ):
            assert (await events(response, 1))[0]["whole"]


@given(st.text(max_size=40))
def test_no_other_text_is_the_token(text):
    assert not has_token({"Authorization": f"Bearer {text}"}, Secret(TOKEN)) or text == TOKEN


def test_another_address_than_loopback_wants_a_token():
    for host in ("0.0.0.0", "10.0.0.5", "::"):
        with pytest.raises(ConfigError, match="--token-file"):
            check_listen(host, None)
        check_listen(host, Secret(TOKEN))
    for host in ("127.0.0.1", "127.9.9.9", "::1"):
        check_listen(host, None)


def test_a_token_is_read_from_a_file_that_is_its_owner_s_alone(tmp_path):
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        read_token(path)
    path.chmod(0o600)
    assert read_token(path).reveal() == TOKEN
    for text in ("", "x" * (TOKEN_MIN - 1), "x" * 2000, f"{TOKEN} {TOKEN}", f"{TOKEN}\n{TOKEN}", "ü" * 20):
        path.write_text(text)
        with pytest.raises(ConfigError, match="openssl rand"):
            read_token(path)
    with pytest.raises(ConfigError, match="can't be read"):
        read_token(tmp_path / "none")


async def test_who_reads_nothing_is_hung_up_on_and_nothing_is_kept_for_him(monkeypatch):
    monkeypatch.setattr(served, "SLOW_S", 0.5)
    step = 0

    def ask():
        nonlocal step
        step += 1
        return [crowd(20, 100, step)], []

    async with running(ask, every_s=0.02) as port, aiohttp.ClientSession() as client:
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.connect(("127.0.0.1", port))
            slow.sendall(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
            async with client.get(f"http://127.0.0.1:{port}/stream") as response:
                began_s = time.monotonic()
                await events(response, 20)
                assert time.monotonic() - began_s < 10
                slow.settimeout(0.0)
                deadline_s = time.monotonic() + 10
                while time.monotonic() < deadline_s:
                    await asyncio.sleep(0.1)
                    if slow.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) != b"\x01":
                        break
                assert slow.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) != b"\x01", (
                    "it is still connected"
                )


async def test_a_thousand_connections_leave_those_that_look_alone_and_are_gone_after_a_while(monkeypatch):
    monkeypatch.setattr(serving, "ASK_S", 1.0)
    async with (
        running() as port,
        aiohttp.ClientSession() as client,
        client.get(f"http://127.0.0.1:{port}/stream") as response,
    ):
        await events(response, 1)
        many = []
        try:
            for number in range(1000):
                one = socket.socket()
                one.setblocking(False)
                one.connect_ex(("127.0.0.1", port))
                many.append(one)
                if number % 50 == 0:
                    await asyncio.sleep(0.01)
            # Some begin to ask, and never end.
            for one in many[:100]:
                with suppress(OSError):
                    one.send(b"GET / HTTP/1.1\r\nHost: ")
            assert len(await events(response, 5)) == 5
            await asyncio.sleep(1.5)
            assert (await asked(port, "/healthz"))[0] == 200
            assert len(await events(response, 2)) == 2
        finally:
            for one in many:
                one.close()


async def test_who_is_gone_makes_room_though_no_daemon_can_be_asked(monkeypatch):
    monkeypatch.setattr(served, "STREAMS_MAX", 1)

    def ask():
        raise OSError("the folder is gone")

    async with running(ask) as port:
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b" 200 " in await asyncio.wait_for(reader.readline(), 5.0)
            writer.close()
            await asyncio.sleep(0.2)


async def test_so_many_look_at_once_and_further_ones_are_told_to_come_back(monkeypatch):
    monkeypatch.setattr(served, "STREAMS_MAX", 3)
    async with running() as port, aiohttp.ClientSession() as client:
        url = f"http://127.0.0.1:{port}/stream"
        async with client.get(url) as one, client.get(url) as two, client.get(url) as three:
            for response in (one, two, three):
                await events(response, 1)
            code, headers, _ = await asked(port, "/stream")
            assert (code, headers["Retry-After"]) == (503, "5")
        for _ in range(100):
            await asyncio.sleep(0.05)
            async with client.get(url) as again:
                if again.status == 200:
                    break
        assert again.status == 200
