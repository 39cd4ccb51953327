"""Why a connection could not be made: real handshakes with certificates that are wrong in one way each."""

import asyncio
import datetime
import ssl

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from daemon.connector.limiter import Limiter
from daemon.connector.reasons import why_not
from daemon.connector.watch.offset import ClockOffset
from daemon.session.errors import NotSentError
from daemon.session.rest import Rest
from daemon.venues.binancefutures.facts import REST

DAY = datetime.timedelta(days=1)


def certificates(folder, host, begins, ends):
    """A certificate of an authority for a host, both as files: (chain with key, authority)."""
    now = datetime.datetime.now(datetime.UTC)  # noqa: DTZ - the clock that OpenSSL looks at
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("an authority", "an exchange")
    ]

    def build(number, first, last):
        return (
            x509.CertificateBuilder()
            .subject_name(names[number])
            .issuer_name(names[0])
            .public_key(keys[number].public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + first)
            .not_valid_after(now + last)
            .add_extension(x509.BasicConstraints(ca=number == 0, path_length=None), critical=True)
        )

    authority = build(0, -9 * DAY, 9 * DAY).sign(keys[0], hashes.SHA256())
    leaf = build(1, begins, ends).add_extension(
        x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False
    )
    pem = serialization.Encoding.PEM
    key = keys[1].private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "server.pem").write_bytes(key + leaf.sign(keys[0], hashes.SHA256()).public_bytes(pem))
    (folder / "authority.pem").write_bytes(authority.public_bytes(pem))
    return folder / "server.pem", folder / "authority.pem"


@pytest.mark.parametrize(
    ("host", "begins", "ends", "is_known", "said"),
    [
        ("localhost", -3 * DAY, -2 * DAY, True, "it has expired"),
        ("localhost", 2 * DAY, 3 * DAY, True, "this machine's clock is behind"),
        ("fapi.example.com", -DAY, DAY, True, "that of another host"),
        ("localhost", -DAY, DAY, False, "its authority is not known"),
    ],
)
async def test_a_certificate_error_says_which_and_what_to_do(tmp_path, host, begins, ends, is_known, said):
    server_pem, authority_pem = certificates(tmp_path, host, begins, ends)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(server_pem)
    trusting = ssl.create_default_context(cafile=str(authority_pem) if is_known else None)
    server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0, ssl=serving)
    port = server.sockets[0].getsockname()[1]
    connector = aiohttp.TCPConnector(ssl=trusting)
    async with server, aiohttp.ClientSession(connector=connector) as http:
        with pytest.raises(aiohttp.ClientConnectorError) as caught:
            await http.ws_connect(f"wss://localhost:{port}/ws")
        assert said in why_not(caught.value)
        rest = Rest(http, REST, f"https://localhost:{port}", None, Limiter([]), ClockOffset())
        with pytest.raises(NotSentError, match=said):
            await rest.call("GET", "/fapi/v1/time", auth="none")


async def test_plain_text_where_tls_is_wanted_and_a_wrong_path_say_so():
    async def answer(reader, writer):
        await reader.read(1)
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ClientError) as caught:
            await http.ws_connect(f"ws://127.0.0.1:{port}/nowhere")
        assert "there is no such path" in why_not(caught.value)
        with pytest.raises(aiohttp.ClientError) as caught:
            await http.ws_connect(f"wss://127.0.0.1:{port}/ws")
        assert "no TLS" in why_not(caught.value)
