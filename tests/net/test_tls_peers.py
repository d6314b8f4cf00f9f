"""Other people's TLS clients: curl, and openssl with what a browser would never do."""

import asyncio
import hashlib
import os
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import pytest

from tests.conftest import find_program
from tests.net.certificates import serving, write_certificate
from tests.net.memory_app import Bytes, MemoryApp, Server, echo, run, served, until

BODY = bytes(range(251)) * 20000  # 5 MB


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return write_certificate(tmp_path, "first")


def app() -> MemoryApp:
    hits = {b"/a": Bytes(b"hello").hit(), b"/b": Bytes(BODY, stride=262144).hit()}
    return MemoryApp(hits=hits, handlers={"/echo": echo})


REQUEST = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
QUIT = ((b"Q\n", b"DONE"),)
Steps = tuple[tuple[bytes, bytes], ...]


async def said(program: str, *arguments: str, steps: Steps = ()) -> tuple[int, bytes]:
    """Exit code and output of a program that is told each step's words, and waits for what they bring."""
    path = find_program(program)
    assert path is not None, "the test's mark says that it is needed"
    process = await asyncio.create_subprocess_exec(path, *arguments, stdin=PIPE, stdout=PIPE, stderr=STDOUT)
    assert process.stdin is not None
    assert process.stdout is not None
    output = b""
    for words, expected in steps:
        process.stdin.write(words)
        while expected not in output and (piece := await process.stdout.read(65536)):
            output += piece
    process.stdin.close()
    output += await process.stdout.read()
    return await process.wait(), output


async def curl(server: Server, cert: Path, target: str, *flags: str) -> bytes:
    url = f"https://localhost:{server.address[1]}{target}"
    code, output = await said("curl", "-sS", "--noproxy", "*", "--cacert", str(cert), *flags, url)
    assert code == 0, output
    return output


async def s_client(server: Server, cert: Path, *flags: str, steps: Steps = QUIT) -> tuple[int, bytes]:
    place = ("-connect", f"127.0.0.1:{server.address[1]}", "-servername", "localhost", "-CAfile", str(cert))
    return await said("openssl", "s_client", *place, *flags, steps=steps)


@pytest.mark.needs("curl")
@pytest.mark.parametrize("version", [("--tlsv1.2", "--tls-max", "1.2"), ("--tlsv1.3",)])
def test_curl_fetches_and_uploads(files: tuple[Path, Path], tmp_path: Path, version: tuple[str, ...]) -> None:
    upload = tmp_path / "upload"
    upload.write_bytes(os.urandom(3_000_001))

    async def main() -> None:
        async with served(app(), tls=serving(files)) as server:
            assert await curl(server, files[0], "/a", *version) == b"hello"
            assert await curl(server, files[0], "/b", *version) == BODY
            assert await curl(server, files[0], "/b", *version, "--limit-rate", "20M") == BODY
            back = await curl(server, files[0], "/echo", *version, "-T", str(upload))
            assert hashlib.sha256(back).digest() == hashlib.sha256(upload.read_bytes()).digest()

    run(main())


@pytest.mark.needs("openssl")
@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (("-tls1_3",), b"New, TLSv1.3, Cipher is TLS_AES_256_GCM_SHA384"),  # the client's first
        (("-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"), b"TLS_CHACHA20_POLY1305_SHA256"),
        (("-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384"), b"TLS_AES_128_GCM"),
        (("-tls1_3", "-groups", "P-384"), b"ECDH, secp384r1, 384 bits"),
        (("-tls1_3", "-groups", "X448:X25519"), b"X25519, 253 bits"),  # by a second hello
        (("-tls1_2",), b"Cipher is ECDHE-ECDSA-AES256-GCM-SHA384"),
        (("-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"), b"Cipher is ECDHE-ECDSA-CHACHA20-POLY1305"),
    ],
)
def test_openssl_agrees_on_what_it_offers_first(
    files: tuple[Path, Path], flags: tuple[str, ...], expected: bytes
) -> None:
    async def main() -> None:
        async with served(app(), tls=serving(files)) as server:
            code, output = await s_client(server, files[0], *flags)
            assert code == 0, output
            assert expected in output
            assert b"Verify return code: 0 (ok)" in output

    run(main())


@pytest.mark.needs("openssl")
@pytest.mark.parametrize(
    ("flags", "alert"),
    [
        (("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"), b"alert handshake failure"),
        (("-tls1", "-cipher", "ALL:@SECLEVEL=0"), b"alert handshake failure"),
        (("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256"), b"alert handshake failure"),
        (("-alpn", "h2"), b"alert no application protocol"),
    ],
)
def test_openssl_is_refused_what_is_weak_or_not_spoken(
    files: tuple[Path, Path], flags: tuple[str, ...], alert: bytes
) -> None:
    async def main() -> None:
        async with served(app(), tls=serving(files)) as server:
            code, output = await s_client(server, files[0], *flags)
            assert code != 0
            assert alert in output, output
            await until(lambda: server.meter.events["tls_failures"] == 1)

    run(main())


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("flag", ["-tls1_2", "-tls1_3"])
def test_openssl_resumes_its_session(files: tuple[Path, Path], tmp_path: Path, flag: str) -> None:
    kept = str(tmp_path / "session")

    async def main() -> None:
        async with served(app(), tls=serving(files)) as server:
            for way, expected in (("-sess_out", b"New, TLSv1."), ("-sess_in", b"Reused, TLSv1.")):
                _, output = await s_client(server, files[0], flag, way, kept, steps=((REQUEST, b"hello"),))
                assert expected in output, output

    run(main())


@pytest.mark.needs("openssl")
def test_renegotiation_is_refused_and_a_key_update_is_not(files: tuple[Path, Path]) -> None:
    async def main() -> None:
        async with served(app(), tls=serving(files)) as server:
            _, output = await s_client(server, files[0], "-tls1_2", steps=((b"R\n", b"RENEGOTIATING"),))
            assert b"Secure Renegotiation IS supported" in output  # RFC 5746: nobody can slip one in
            assert b"no renegotiation" in output
            steps = ((b"K\n", b"KEYUPDATE"), (REQUEST, b"hello"))
            _, output = await s_client(server, files[0], "-tls1_3", steps=steps)
            assert b"hello" in output

    run(main())
