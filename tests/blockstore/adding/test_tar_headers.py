"""Headers of a TAR: bounded however many come, read in linear time, and refused where they are none."""

import io
import tarfile
import time

import pytest

from blockstore.adding.tar_headers import open_tar
from runtime.errors import UsageError

MIB = 1 << 20


def header(kind: bytes, size: int = 0, name: str = "x") -> bytes:
    member = tarfile.TarInfo(name)
    member.type, member.size = kind, size
    return member.tobuf(tarfile.GNU_FORMAT)


def record(keyword: bytes, value: bytes) -> bytes:
    length = len(keyword) + len(value) + 3
    while length != len(b"%d" % length) + len(keyword) + len(value) + 3:
        length = len(b"%d" % length) + len(keyword) + len(value) + 3
    return b"%d %s=%s\n" % (length, keyword, value)


def described(body: bytes, kind: bytes = tarfile.XHDTYPE) -> bytes:
    return header(kind, len(body)) + body.ljust(-(-len(body) // 512) * 512, b"\0")


def sparse(size: int) -> bytes:
    """A sparse member as GNU tar wrote it first, with more of its map to come."""
    block = bytearray(header(tarfile.GNUTYPE_SPARSE, size))
    block[386:410] = block[483:495] * 2
    block[482] = 1
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


class Endless(io.RawIOBase):
    """A beginning, then the same for ever."""

    def __init__(self, first: bytes, again: bytes) -> None:
        super().__init__()
        self._left, self._again, self.given = first, again * (1 + MIB // len(again)), 0

    def read(self, size: int = -1) -> bytes:
        while len(self._left) < size:
            self._left += self._again
        data, self._left = self._left[:size], self._left[size:]
        self.given += size
        assert self.given < 200 * MIB, "it was read on and on"
        return data


MORE_MAP = (b"00000000001\0" * 42)[:504] + b"\1".ljust(8, b"\0")
SPARSE_1 = described(record(b"GNU.sparse.major", b"1") + record(b"GNU.sparse.minor", b"0"))
ENDLESS: dict[str, tuple[bytes, bytes, str]] = {
    "the map of a sparse file": (sparse(0), MORE_MAP, "sparse"),
    "the map of a sparse file by pax": (SPARSE_1 + header(tarfile.REGTYPE, 1 << 40), b"9" * 512, "sparse"),
    "global records": (
        b"",
        described(record(b"comment", b"x" * 400), tarfile.XGLTYPE) + header(tarfile.REGTYPE),
        "global",
    ),
    "records of records": (
        b"",
        described(b"".join(record(b"%d" % at, b"") for at in range(5000))),
        "headers of",
    ),
    "long names of long names": (b"", header(tarfile.GNUTYPE_LONGNAME, 65_536) + bytes(65_536), "headers of"),
    "one long header": (header(tarfile.XHDTYPE, 1 << 33), bytes(512), "headers of"),
}


@pytest.mark.parametrize("what", ENDLESS)
def test_what_has_no_end_is_refused_after_little_of_it(what: str) -> None:
    first, again, message = ENDLESS[what]
    file = Endless(first, again)
    with pytest.raises((tarfile.TarError, UsageError), match=message):
        archive = open_tar(file, packed=False)  # type: ignore[arg-type]
        while archive.next() is not None:
            archive.members.clear()  # type: ignore[attr-defined]
    assert file.given < 4 * MIB


def test_a_header_of_digits_is_read_in_linear_time() -> None:
    """The standard library looks for a word behind digits from each of them: half a minute for this."""
    tar = described(b"1" * 300_000) + header(tarfile.REGTYPE) + bytes(1024)
    began_s = time.process_time()
    with pytest.raises(tarfile.ReadError):
        open_tar(io.BytesIO(tar), packed=False)
    assert time.process_time() - began_s < 2


@pytest.mark.parametrize(
    "body",
    [
        b"x",
        b"6 a=b\nx",
        b"5 a=b\n",
        b"99 a=b\n",
        b"0 a=b\n",
        b"3 \n",
        b"5 =b\n",
        b"5 ab\n",
        b"-6 a=b\n",
        b"6 a=b\n6 a=b",
        b"000000006 a=b\n",
    ],
)
def test_what_is_no_record_is_refused(body: bytes) -> None:
    with pytest.raises(tarfile.ReadError, match="record"):
        open_tar(io.BytesIO(described(body) + header(tarfile.REGTYPE) + bytes(1024)), packed=False)


def test_records_of_nothing_are_refused() -> None:
    with pytest.raises(tarfile.ReadError, match="of nothing"):
        open_tar(io.BytesIO(described(record(b"a", b"b")) + bytes(1024)), packed=False)


def test_records_hold_for_one_member_and_global_ones_for_all_behind_them() -> None:
    content = b"c".ljust(512, b"\0")
    tar = b"".join(
        (
            described(record(b"mtime", b"7") + bytes(90), tarfile.XGLTYPE),
            described(record(b"path", "ü=\n".encode()) + record(b"size", b"1") + record(b"mtime", b"8.5")),
            header(tarfile.REGTYPE),
            content,
            header(tarfile.REGTYPE, 1, "second"),
            content,
            bytes(1024),
        )
    )
    with open_tar(io.BytesIO(tar), packed=False) as archive:
        found = [(each.name, each.size, each.mtime, each.pax_headers["mtime"]) for each in archive]
    assert found == [("ü=\n", 1, 8.5, "8.5"), ("second", 1, 7.0, "7")]
