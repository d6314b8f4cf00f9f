"""`add --tar`: an archive becomes the DAG that the unpacked directory would be, or is refused."""

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest

from content.unixfs.message import Mtime
from tests.tools.conftest import Edge
from tests.tools.test_add import Dag

KEEP = ("--preserve-mode", "--preserve-mtime")
Member = tuple[tarfile.TarInfo, bytes]


def file(name: str, content: bytes = b"", **fields: object) -> Member:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for key, value in fields.items():
        setattr(member, key, value)
    return member, content


def special(name: str, kind: bytes, linkname: str = "", **fields: object) -> Member:
    return file(name, b"", type=kind, linkname=linkname, **fields)


def archive(*members: Member, format: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as tar:
        for member, content in members:
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory with everything a TAR can say and UnixFS can keep."""
    tree = tmp_path / "tree"
    (tree / "sub" / "empty").mkdir(parents=True)
    (tree / "a").write_bytes(b"hello")
    (tree / "big").write_bytes(os.urandom(1_500_000))
    (tree / "sub" / ("long" * 60)).write_bytes(b"name")
    (tree / "sub" / "link").symlink_to("../" + "t" * 150)
    (tree / "a").chmod(0o4640)
    (tree / "sub").chmod(0o1711)
    os.link(tree / "a", tree / "hard")
    for number, path in enumerate(sorted(tree.rglob("*"), reverse=True)):
        os.utime(path, ns=(0, 1_600_000_000_123_456_789 + number), follow_symlinks=False)
    os.utime(tree, ns=(0, 5))
    return tree


def packed(tree: Path, format: int) -> bytes:
    """The directory as `tar` packs it, with times to the nanosecond where the format has them."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as tar:
        for path in (tree, *sorted(tree.rglob("*"))):
            member = tar.gettarinfo(str(path), str(path.relative_to(tree)))
            if format == tarfile.PAX_FORMAT:
                seconds, nanos = divmod(path.lstat().st_mtime_ns, 1_000_000_000)
                member.pax_headers = {"mtime": f"{seconds}.{nanos:09}"}
            if member.isfile():
                with path.open("rb") as content:
                    tar.addfile(member, content)
            else:
                tar.addfile(member)
    return out.getvalue()


def test_a_pax_archive_has_the_cid_of_its_directory(edge: Edge, tree: Path) -> None:
    expected = edge("add", "-Q", *KEEP, tree).out
    done = edge("add", "-Q", "--tar", *KEEP, "-", stdin=packed(tree, tarfile.PAX_FORMAT))
    assert (done.code, done.out, done.err) == (0, expected, "")


def test_a_gnu_archive_has_the_cid_of_its_directory(edge: Edge, tree: Path) -> None:
    expected = edge("add", "-Q", "--preserve-mode", tree).out
    done = edge("add", "-Q", "--tar", "--preserve-mode", "-", stdin=packed(tree, tarfile.GNU_FORMAT))
    assert (done.code, done.out) == (0, expected)


@pytest.mark.parametrize("profile", ["unixfs-v1-2025", "unixfs-v0-2015"])
def test_without_attributes_a_compressed_archive_has_the_same_cid(
    edge: Edge, tree: Path, tmp_path: Path, profile: str
) -> None:
    path = tmp_path / "tree.tar.gz"
    path.write_bytes(gzip.compress(packed(tree, tarfile.PAX_FORMAT)))
    expected = edge("add", "-Q", "--profile", profile, tree).out
    assert edge("add", "-Q", "--profile", profile, "--tar", path).out == expected


def test_members_are_told_in_their_order_and_directories_after_them(edge: Edge) -> None:
    tar = archive(file("b/two", b"2"), file("a", b"1"), special("b/link", tarfile.SYMTYPE, "two"))
    done = edge("add", "--tar", "--json", "-", stdin=tar)
    assert [each["path"] for each in done.records] == ["b/two", "a", "b/link", "-/b", "-"]


def test_a_hard_link_is_the_file_as_it_was_when_linked(edge: Edge, data: Path) -> None:
    tar = archive(file("f", b"old"), special("d/hard", tarfile.LNKTYPE, "./f"), file("f", b"new"))
    root = edge("add", "-Q", "--tar", "-", stdin=tar).out.decode().strip()
    with Dag(data) as dag:
        assert (dag.bytes(root, "f"), dag.bytes(root, "d", "hard")) == (b"new", b"old")


def test_a_directory_keeps_its_attributes_whenever_it_comes(edge: Edge, data: Path) -> None:
    members = [
        file("d/f", b"x"),
        special("d", tarfile.DIRTYPE, mode=0o2750, mtime=77),
        special(".", tarfile.DIRTYPE, mode=0o700, mtime=88),
    ]
    root = edge("add", "-Q", "--tar", *KEEP, "-", stdin=archive(*members)).out.decode().strip()
    with Dag(data) as dag:
        assert (dag.message(root, "d").mode, dag.message(root, "d").mtime) == (0o2750, Mtime(77))
        assert (dag.message(root).mode, dag.message(root).mtime) == (0o700, Mtime(88))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("1600000000.000000001", Mtime(1_600_000_000, 1)),
        ("1600000000", Mtime(1_600_000_000)),
        ("-1.5", Mtime(-2, 500_000_000)),
        ("1.9999999999", Mtime(1, 999_999_999)),
    ],
)
def test_times_of_pax_records_are_exact(edge: Edge, data: Path, written: str, expected: Mtime) -> None:
    tar = archive(file("f", b"x", pax_headers={"mtime": written}))
    root = edge("add", "-Q", "--tar", "--preserve-mtime", "-", stdin=tar).out.decode().strip()
    with Dag(data) as dag:
        assert dag.message(root, "f").mtime == expected


def test_names_that_are_no_utf8_are_kept(edge: Edge, data: Path) -> None:
    name = b"\xff\xfe".decode("utf-8", "surrogateescape")
    member = file(name, b"x")
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT, errors="surrogateescape") as tar:
        tar.addfile(member[0], io.BytesIO(member[1]))
    root = edge("add", "-Q", "--tar", "-", stdin=out.getvalue()).out.decode().strip()
    with Dag(data) as dag:
        assert dag.names(root) == [name]


def test_devices_and_pipes_are_left_out_with_a_note(edge: Edge) -> None:
    kept = edge("add", "-Q", "--tar", "-", stdin=archive(file("f", b"x"))).out
    tar = archive(special("dev", tarfile.CHRTYPE), file("f", b"x"), special("pipe", tarfile.FIFOTYPE))
    done = edge("add", "-Q", "--tar", "-", stdin=tar)
    assert (done.code, done.out) == (0, kept)
    assert "left out: dev" in done.err
    assert "left out: pipe" in done.err


def test_an_empty_archive_is_an_empty_directory(edge: Edge, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    expected = edge("add", "-Q", tmp_path / "empty").out
    assert edge("add", "-Q", "--tar", "-", stdin=archive()).out == expected


def _header_bomb() -> bytes:
    member = tarfile.TarInfo("x")
    member.type, member.size = tarfile.XHDTYPE, 1 << 33
    return member.tobuf(tarfile.GNU_FORMAT) + bytes(4096)


def _headers_of_headers() -> bytes:
    member = tarfile.TarInfo("././@LongLink")
    member.type, member.size = tarfile.GNUTYPE_LONGNAME, 2
    return (member.tobuf(tarfile.GNU_FORMAT) + b"n\0" + bytes(510)) * 5000


def _endless() -> bytes:
    """A member of a kind that nobody knows, which would be passed over for years."""
    member = tarfile.TarInfo("x")
    member.type, member.size = b"Z", 1 << 60
    return member.tobuf(tarfile.GNU_FORMAT) + bytes(10240)


def _damaged(tar: bytes, at: int) -> bytes:
    return tar[:at] + bytes((tar[at] ^ 0x40,)) + tar[at + 1 :]


TWO = archive(file("one", b"1" * 600), file("two", b"2"))


def _moded(mode: bytes) -> bytes:
    """A member whose header has these eight bytes as its mode: GNU's numbers to the base 256."""
    tar = bytearray(archive(file("f", b"x"), format=tarfile.GNU_FORMAT))
    tar[100:108], tar[148:156] = mode, b" " * 8
    tar[148:156] = b"%06o\0 " % sum(tar[:512])
    return bytes(tar)


REFUSED: dict[str, tuple[bytes, str]] = {
    "a name that leads out": (archive(file("a/../../x", b"x")), "leads out"),
    "an absolute name": (archive(file("/etc/x", b"x")), "leads out"),
    "a name that holds a NUL": (archive(file("x", b"x", pax_headers={"path": "a\0b"})), "NUL"),
    "a symlink to a NUL": (
        archive(special("x", tarfile.SYMTYPE, "y", pax_headers={"linkpath": "a\0b"})),
        "NUL",
    ),
    "a hard link that leads out": (archive(special("x", tarfile.LNKTYPE, "../x")), "leads out"),
    "a hard link to nothing": (archive(special("x", tarfile.LNKTYPE, "y")), "hard link"),
    "a hard link to what comes later": (
        archive(special("x", tarfile.LNKTYPE, "y"), file("y", b"y")),
        "hard link",
    ),
    "a hard link to a directory": (
        archive(special("d", tarfile.DIRTYPE), special("x", tarfile.LNKTYPE, "d")),
        "hard link",
    ),
    "a file that is a folder": (archive(file("x", b"x"), file("x/y", b"y")), "a file and a folder"),
    "a folder that is a file": (archive(file("x/y", b"y"), file("x", b"x")), "a file and a folder"),
    "a sparse member": (
        archive(file("s", b"0\n", pax_headers={"GNU.sparse.major": "1", "GNU.sparse.minor": "0"})),
        "sparse",
    ),
    "no TAR at all": (b"not a TAR" * 1000, "not a sound TAR"),
    "nothing": (b"", "not a sound TAR"),
    "a member cut short": (TWO[:700], "not a sound TAR"),
    "a header cut short": (TWO[:1800], "not a sound TAR"),
    "a damaged header in the middle": (_damaged(TWO, 1536 + 10), "not a sound TAR"),
    "damaged compression": (gzip.compress(TWO)[:60] + bytes(100), "not a sound TAR"),
    "a header of gigabytes": (_header_bomb(), "headers of more than"),
    "headers of headers": (_headers_of_headers(), "not a sound TAR"),
    "a member larger than any disk": (_endless(), "unexpected end of data"),
    "too many folders inside one another": (archive(file("d/" * 401 + "f", b"")), "400 folders"),
    "a name of 256 bytes": (archive(file("n" * 256, b"x")), "255"),
    "a size below zero": (archive(file("f", b"", pax_headers={"size": "-1000"})), "a size of -1000"),
    "a mode below zero": (_moded(b"\xff" * 7 + b"\xfb"), "a mode of -5"),
    "a mode of more than 32 bits": (_moded(b"\x80\x00\x00\x01" + bytes(4)), "a mode of 4294967296"),
    "a time that is none": (archive(file("f", b"", pax_headers={"mtime": "nan"})), "not a sound TAR"),
    "a time without end": (archive(file("f", b"", pax_headers={"mtime": "inf"})), "not a sound TAR"),
    "a time beyond all": (archive(file("f", b"", pax_headers={"mtime": "1e400"})), "not a sound TAR"),
    "a time that takes a minute": (archive(file("f", b"", pax_headers={"mtime": "1e999980"})), "not a sound"),
    "a time beyond decimals": (archive(file("f", b"", pax_headers={"mtime": "1e999999"})), "not a sound TAR"),
}


@pytest.mark.timeout(30)  # a few bytes could take minutes
@pytest.mark.parametrize(("tar", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_sound_directory_is_refused_and_pins_nothing(
    edge: Edge, data: Path, tar: bytes, message: str
) -> None:
    done = edge("add", "-Q", "--tar", "--preserve-mtime", "--json", "-", stdin=tar)
    assert done.code == 2, done
    assert message in done.error["message"]
    assert done.out == b""
    with Dag(data) as dag:
        assert list(dag.store.dag.roots()) == []


@pytest.mark.parametrize("cut", range(512, len(TWO), 512))
def test_an_archive_cut_anywhere_is_refused_or_whole(edge: Edge, cut: int, data: Path) -> None:
    """Cut exactly behind a member it cannot be told from an archive without its end mark, as tar has it."""
    done = edge("add", "--tar", "--json", "-", stdin=TWO[:cut])
    behind_one, behind_two = 512 * 3, 512 * 5
    assert done.code == (0 if cut == behind_one or cut >= behind_two else 2)
    if done.code == 0:
        names = {each["path"] for each in done.records}
        assert names == ({"-", "one", "two"} if cut >= behind_two else {"-", "one"})
