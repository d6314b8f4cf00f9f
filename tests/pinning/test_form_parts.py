"""multipart/form-data read whole, byte by byte, and as nobody should send it."""

import io
import random

import pytest

from pinning.form_parts import FormReader, Part, boundary_of
from runtime.errors import BadRequest

Read = list[tuple[Part, bytes]]
HEAD = b'--XX\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n'


class Dribble(io.BytesIO):
    """A body that comes in pieces of `most` bytes."""

    def __init__(self, data: bytes, most: int) -> None:
        super().__init__(data)
        self.most = most

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(self.most)


def parts(data: bytes, boundary: bytes = b"XX", most: int = 1 << 20, step: int = -1) -> Read:
    reader, found = FormReader(Dribble(data, most), boundary), []
    while (part := reader.next()) is not None:
        content = b""
        while piece := reader.read(step):
            content += piece
        found.append((part, content))
    return found


def form(*members: tuple[str, bytes]) -> bytes:
    out = b""
    for name, content in members:
        out += f'--XX\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
        out += content + b"\r\n"
    return out + b"--XX--\r\n"


CONTENTS = (
    b"",
    b"x",
    b"\r\n",
    b"\r\n--X",
    b"\r\n--X\r\n--Y",
    b"--XX",
    b"\r\r\n-\r\n--x",
    bytes(range(256)) * 40,
)


@pytest.mark.parametrize("most", [1, 2, 3, 5, 7, 64, 1 << 20])
@pytest.mark.parametrize("step", [1, 6, -1])
def test_parts_come_out_as_they_went_in_however_they_are_split(most: int, step: int) -> None:
    data = form(*((f"{at}", content) for at, content in enumerate(CONTENTS)))
    found = parts(data, most=most, step=step)
    assert [content for _, content in found] == list(CONTENTS)
    assert [part.filename for part, _ in found] == [f"{at}" for at in range(len(CONTENTS))]


def test_a_preamble_padding_and_an_epilogue_mean_nothing() -> None:
    body = (
        b"preamble\r\n"
        + form(("a", b"1")).replace(b"--XX\r\n", b"--XX \t\r\n", 1)
        + b"epilogue\r\n--XX\r\nmore"
    )
    assert [content for _, content in parts(body)] == [b"1"]


def test_parts_that_are_not_read_are_passed_over() -> None:
    reader = FormReader(io.BytesIO(form(("a", bytes(1_000_000)), ("b", b"2"))), b"XX")
    first, second = reader.next(), reader.next()
    assert first is not None
    assert second is not None
    assert (first.filename, second.filename, reader.read(), reader.next()) == ("a", "b", b"2", None)


def test_every_cut_is_told() -> None:
    whole = form(("a", b"content"), ("b", b"more"))[: -len(b"\r\n")]
    for end in range(len(whole)):
        with pytest.raises(BadRequest):
            parts(whole[:end])
    assert len(parts(whole)) == 2


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (b'"a b.txt"', "a b.txt"),
        (b"plain.txt", "plain.txt"),
        (b'"say %22hi%22%0d%0A.txt"', 'say "hi"\r\n.txt'),
        (b'"say \\"hi\\" \\\\.txt"', 'say "hi" \\.txt'),
        (b'"100%25 %2e%2e"', "100%25 %2e%2e"),
        ("\u017c\u00f3\u0142w.txt".encode().join((b'"', b'"')), "\u017c\u00f3\u0142w.txt"),
        (b'"C:\\dir\\x"', "C:\\dir\\x"),
        (b'"a;b=c"', "a;b=c"),
        (b'""', ""),
    ],
)
def test_a_file_name_is_what_browsers_and_curl_mean_by_it(given: bytes, meant: str) -> None:
    body = HEAD.replace(b'"a"', given) + b"1\r\n--XX--"
    assert [part.filename for part, _ in parts(body)] == [meant]


def test_fields_of_a_part_are_read_in_any_case_and_order() -> None:
    body = (
        b"--XX\r\ncontent-type: Text/Plain; charset=utf-8\r\nX-Other: y\r\n"
        b"CONTENT-DISPOSITION: FORM-DATA; FileName=a ;name=f\r\n\r\n1\r\n"
        b'--XX\r\nContent-Disposition: form-data; name="only"\r\n\r\n2\r\n--XX--'
    )
    assert [part for part, _ in parts(body)] == [Part("f", "a", "text/plain"), Part("only", None, "")]


BAD = {
    "nothing": b"",
    "no delimiter": b"hello\r\n",
    "no part": b"\r\n\r\n--XY--",
    "no fields": b"--XX\r\n\r\n1\r\n--XX--",
    "attachment": HEAD.replace(b"form-data", b"attachment") + b"\r\n--XX--",
    "no name": HEAD.replace(b'name="f"; ', b"") + b"\r\n--XX--",
    "two names": HEAD.replace(b'name="f"', b"name=f; name=g") + b"\r\n--XX--",
    "two file names": HEAD.replace(b'filename="a"', b"filename=a; filename=b") + b"\r\n--XX--",
    "only filename*": HEAD.replace(b'filename="a"', b"filename*=UTF-8''a") + b"\r\n--XX--",
    "open quote": HEAD.replace(b'"a"', b'"a') + b"\r\n--XX--",
    "two dispositions": HEAD[:-2] + HEAD[6:] + b"\r\n--XX--",
    "base64": HEAD[:-2] + b"Content-Transfer-Encoding: base64\r\n\r\nMQ==\r\n--XX--",
    "no colon": HEAD[:-2] + b"nonsense\r\n\r\n1\r\n--XX--",
    "blank before the colon": HEAD.replace(b"n: f", b"n : f") + b"\r\n--XX--",
    "longer boundary": HEAD + b"1\r\n--XXX\r\n\r\n--XX--",
    "long field": HEAD[:-2] + b"X: " + bytes(20_000) + b"\r\n\r\n1\r\n--XX--",
    "many fields": HEAD[:-2] + b"".join(b"X-%d: y\r\n" % at for at in range(3000)) + b"\r\n1\r\n--XX--",
    "endless line": HEAD[:-2] + b"y" * 100_000,
    "long padding": HEAD.replace(b"--XX\r\n", b"--XX" + b" " * 100 + b"\r\n") + b"\r\n--XX--",
    "long preamble": bytes(1 << 20) + b"\r\n" + HEAD + b"\r\n--XX--",
}


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("most", [3, 1 << 20])
def test_what_is_no_sound_form_is_refused(what: str, most: int) -> None:
    with pytest.raises(BadRequest):
        parts(BAD[what], most=most)


def test_random_bytes_end_in_an_error_or_an_end() -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    words = (
        b"--XX",
        b"\r\n",
        b"--",
        b"Content-Disposition: form-data; name=a",
        b":",
        b";",
        b'"',
        b"\\",
        b"\0",
    )
    for _ in range(3000):
        data = b"--XX\r\n" + b"".join(chance.choices(words, k=chance.randrange(12)))
        try:
            parts(data, most=chance.randrange(1, 9))
        except BadRequest:
            pass


@pytest.mark.parametrize(
    ("field", "boundary"),
    [
        ("multipart/form-data; boundary=XX", b"XX"),
        ('Multipart/Form-Data ; charset=utf-8; Boundary="a b\'()+_,-./:=?"', b"a b'()+_,-./:=?"),
        ("multipart/form-data; boundary=" + "x" * 70, b"x" * 70),
        ("multipart/form-data; boundary=" + "x" * 71, None),
        ('multipart/form-data; boundary="x "', None),
        ("multipart/form-data; boundary=", None),
        ("multipart/form-data", None),
        ("multipart/mixed; boundary=XX", None),
        ("multipart/form-data; boundary=a; boundary=b", None),
        ("application/x-www-form-urlencoded", None),
        ("", None),
    ],
)
def test_the_boundary_is_told_by_the_content_type(field: str, boundary: bytes | None) -> None:
    if boundary is not None:
        assert boundary_of(field) == boundary
        return
    with pytest.raises(BadRequest):
        boundary_of(field)
