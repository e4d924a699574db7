"""Getting something over HTTPS: only from whom the certificate names, whole, and of a bounded length."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from service.egress import fetching
from service.egress.fetching import FetchFailed, get, get_from
from service.egress.resolving import Pinned, Resolver

HOST = "sns.eu-west-1.amazonaws.com"


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of the host, with its key, in one file; it is its own authority."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    file = tmp_path / "host.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(private + signed.public_bytes(Encoding.PEM))
    return file


@contextlib.asynccontextmanager
async def answering(certificate: Path, answer: bytes) -> AsyncGenerator[tuple[Pinned, list[bytes]]]:
    """A host that gives this answer, and what it was asked."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        writer.close()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield Pinned(HOST, port, (ip_address("127.0.0.1"),)), asked


def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


WHOLE = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
]


@pytest.mark.parametrize("answer", WHOLE)
async def test_what_is_there_is_got_whole(certificate: Path, answer: bytes) -> None:
    async with answering(certificate, answer) as (pinned, asked):
        assert await get_from(pinned, "/a?b=c", context=trusting(certificate)) == b"hello"
    assert asked[0].startswith(b"GET /a?b=c HTTP/1.1\r\nHost: " + HOST.encode())


NOT_TAKEN = [
    b"HTTP/1.1 302 Found\r\nLocation: https://elsewhere.example/\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno",
    b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\ncut short",
    b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000,
    b"good morning",
    b"",
]


@pytest.mark.parametrize("answer", NOT_TAKEN)
async def test_anything_else_fails(certificate: Path, answer: bytes) -> None:
    async with answering(certificate, answer) as (pinned, _):
        with pytest.raises(FetchFailed):
            await get_from(pinned, "/", context=trusting(certificate))


async def test_only_whom_an_authority_vouches_for_is_asked(certificate: Path) -> None:
    async with answering(certificate, WHOLE[0]) as (pinned, asked):
        with pytest.raises(FetchFailed):
            await get_from(pinned, "/")
        other = Pinned("elsewhere.example", pinned.port, pinned.addresses)
        with pytest.raises(FetchFailed):
            await get_from(other, "/", context=trusting(certificate))
    assert asked == []


async def test_who_says_nothing_is_not_waited_for(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "FETCH_TIMEOUT_S", 0.2)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(FetchFailed):
            await get_from(Pinned(HOST, port, (ip_address("127.0.0.1"),)), "/")


@pytest.mark.parametrize(
    "url",
    ["http://sns.eu-west-1.amazonaws.com/", "https://127.0.0.1/", "https://10.0.0.1/x", "https://[::1]/", "https://x/a b"],
)
async def test_this_network_is_never_asked(url: str) -> None:
    with pytest.raises(FetchFailed):
        await get(Resolver(), url)
