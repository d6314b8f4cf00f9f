"""What reaches the two streams."""

import json
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.frame.output import Output, human_size, printable


def test_a_record_is_one_json_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    out = Output(as_json=True)
    out.record({"path": "a\nb\udc80"}, "plain")
    out.note("a remark")
    captured = capsys.readouterr()
    assert captured.out.count("\n") == 1
    assert json.loads(captured.out) == {"path": "a\nb\udc80"}
    assert captured.err == "", "scripts are not told remarks"


def test_in_a_pipe_stderr_holds_warnings_and_no_remarks(capsys: pytest.CaptureFixture[str]) -> None:
    out = Output(as_json=False)
    out.record({"path": "x"}, "plain x")
    out.note("a remark")
    out.warn("left out: y")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("plain x\n", "left out: y\n")


def test_remarks_are_for_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    Output(as_json=False).note("a remark\x1b[2J")
    Output(as_json=True).note("a remark")
    assert capsys.readouterr().err == "a remark\\x1b[2J\n"


def test_a_file_name_cannot_drive_the_terminal() -> None:
    assert printable("a\x1b[2Jb\nc\x9bd\x7f") == "a\\x1b[2Jb\\nc\\x9bd\\x7f"
    assert printable("Grüße 日本 🙂") == "Grüße 日本 🙂"


@settings(deadline=None)  # other tests share the machine
@given(st.text())
def test_printable_text_is_one_line_without_controls(text: str) -> None:
    shown = printable(text)
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in shown)
    assert len(shown.splitlines()) <= 1


def test_no_progress_is_shown_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Output(as_json=False).progress("storing", 10) as bar:
        bar.advance(5)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (1 << 30, "1.0 GiB"),
        (1 << 60, "1024.0 PiB"),
    ],
)
def test_sizes_for_people(size: int, text: str) -> None:
    assert human_size(size) == text
