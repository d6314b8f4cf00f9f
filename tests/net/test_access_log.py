"""The access log: its two formats, hostile text, and that it never holds a request up."""

import json
import os
from pathlib import Path

import pytest

from net.access_log import AccessLog, LogSettings, Record, combined_line, json_line
from net.answer import Answer
from runtime.errors import UsageError
from tests.manual_clock import ManualClock
from tests.net.memory_app import Bytes, MemoryApp, get, run, served

RECORD = Record(
    1_700_000_000.25, "10.0.0.1", None, "GET /a HTTP/1.1", 200, 5, "", "curl/8", 0.00123456, "blob"
)


def test_a_combined_line_is_what_apache_and_nginx_write() -> None:
    assert combined_line(RECORD) == (
        '10.0.0.1 - - [14/Nov/2023:22:13:20 +0000] "GET /a HTTP/1.1" 200 5 "-" "curl/8"\n'
    )


def test_a_json_line_is_one_object() -> None:
    line = json_line(RECORD._replace(account="acme", agent='quo"te\n\xe9'))
    assert line.count("\n") == 1
    row = json.loads(line)
    assert (row["account"], row["status"], row["bytes"], row["kind"]) == ("acme", 200, 5, "blob")
    assert row["user_agent"] == 'quo"te\n\xe9'
    assert row["duration_s"] == 0.001235
    assert row["time"] == "2023-11-14T22:13:20.250+00:00"


@pytest.mark.parametrize("text", ['a" 200 5 "x', "a\nb", "a\\", "\x1b[31m", "\xe9"])
def test_text_from_outside_cannot_forge_a_combined_line(text: str) -> None:
    line = combined_line(RECORD._replace(agent=text, referer=text))
    assert line.count("\n") == 1
    assert line.count('"') == 6
    assert line.isascii()
    assert line[:-1].isprintable()


def test_responses_are_logged_in_order_with_the_bytes_that_left(tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    access = AccessLog.open(LogSettings(access="json", access_file=str(file)), ManualClock())
    assert access is not None

    async def main() -> None:
        app = MemoryApp(hits={b"/a": Bytes(b"hello").hit()})
        app.answers["/b"] = lambda _: Answer(200, [], b"decided", account="acme")
        async with served(app, access=access) as server:
            client = await server.client()
            for _ in range(2):
                await client.ask(get("/a", "User-Agent: probe", "Referer: http://r/"))
            await client.ask(get("/b?secret"))
            await client.ask(get("/b", method="HEAD"), to_head=True)
            await client.ask(b"nonsense\r\n\r\n")

    run(main())
    access.close()
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(row["request"], row["status"], row["bytes"], row["account"]) for row in rows] == [
        ("GET /a HTTP/1.1", 200, 5, None),
        ("GET /a HTTP/1.1", 200, 5, None),
        ("GET /b?secret HTTP/1.1", 200, 7, "acme"),
        ("HEAD /b HTTP/1.1", 200, 0, "acme"),
        ("-", 400, rows[4]["bytes"], None),
    ]
    assert rows[0]["user_agent"] == "probe"
    assert rows[0]["referer"] == "http://r/"
    assert rows[0]["peer"] == "127.0.0.1"


def test_a_log_that_cannot_keep_up_drops_lines_and_counts_them(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)  # opened, and not read: the writer blocks
    log = AccessLog(LogSettings(access="combined", access_file=str(pipe), queue_lines=10_000), ManualClock())
    kept = sum(log.record(RECORD) for _ in range(30_000))
    assert kept < 30_000
    assert log.dropped == 30_000 - kept
    written = b""
    os.set_blocking(reader, True)
    while written.count(b"\n") < kept:
        written += os.read(reader, 65536)
    log.close()
    os.close(reader)
    assert written.count(b"\n") == kept


def test_a_rotated_file_is_opened_afresh(tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    log = AccessLog(LogSettings(access="combined", access_file=str(file)), ManualClock())
    log.record(RECORD)
    file.rename(tmp_path / "access.log.1")
    log.reopen()
    log.record(RECORD._replace(status=404))
    log.close()
    lines = [p.read_text() for p in (tmp_path / "access.log.1", file) if p.exists()]
    assert "".join(lines).count("\n") == 2
    assert " 404 " in file.read_text()


def test_settings_are_checked_and_off_is_off(tmp_path: Path) -> None:
    assert AccessLog.open(LogSettings(), ManualClock()) is None
    with pytest.raises(ValueError, match="combined"):
        LogSettings(access="apache")
    with pytest.raises(UsageError) as caught:
        AccessLog(LogSettings(access="json", access_file=str(tmp_path / "no" / "file")), ManualClock())
    assert caught.value.where.endswith("no/file")
