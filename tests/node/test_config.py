"""The whole configuration: sections, sources, precedence, refusals, reload."""

import pickle
from pathlib import Path

import pytest

from node.config import SECTIONS, Config, load
from runtime.errors import UsageError


def _load(
    tmp_path: Path, text: str | None = None, environ: dict[str, str] | None = None, **flags: object
) -> Config:
    file = None
    if text is not None:
        file = tmp_path / "edge.toml"
        file.write_text(text)
    return load(file, {"HOME": str(tmp_path), **(environ or {})}, flags)


def _given_by(config: Config, name: str) -> str:
    return next(setting.given_by for setting in config.settings if setting.name == name)


def test_with_nothing_given_everything_has_a_default_and_a_meaning(tmp_path: Path) -> None:
    config = _load(tmp_path)
    assert config.node.data == tmp_path / ".local/share/fleek-edge"
    assert (config.node.listen, config.node.admin) == ("127.0.0.1:8080", "127.0.0.1:8081")
    assert config.file is None
    assert {setting.given_by for setting in config.settings} == {"default"}
    assert {setting.section for setting in config.settings} == set(SECTIONS)
    assert [setting.name for setting in config.settings if not setting.doc] == []


def test_the_data_folder_follows_the_xdg_rules(tmp_path: Path) -> None:
    assert _load(tmp_path, environ={"XDG_DATA_HOME": "/x"}).node.data == Path("/x/fleek-edge")
    relative = _load(tmp_path, environ={"XDG_DATA_HOME": "x"})
    assert relative.node.data == tmp_path / ".local/share/fleek-edge", "relative ones are to be ignored"
    named = _load(tmp_path, environ={"FLEEK_EDGE_DATA": "/d", "XDG_DATA_HOME": "/x"})
    assert named.node.data == Path("/d")
    assert _given_by(named, "node.data") == "environment FLEEK_EDGE_DATA"


def test_each_layer_wins_over_the_one_below(tmp_path: Path) -> None:
    text = "[node]\nworkers = 1\ndrain_s = '1m'\nlisten = ':x'\n[store]\nquota_bytes = '10GiB'\n"
    environ = {"FLEEK_EDGE_NODE_WORKERS": "2", "FLEEK_EDGE_NODE_LISTEN": "127.0.0.1:2"}
    config = _load(tmp_path, text, environ, workers="3", listen=None)
    assert (config.node.workers, config.node.listen, config.node.drain_s) == (3, "127.0.0.1:2", 60.0)
    assert config.store.quota_bytes == 10 << 30
    file = tmp_path / "edge.toml"
    assert _given_by(config, "node.workers") == "--workers"
    assert _given_by(config, "node.listen") == "environment FLEEK_EDGE_NODE_LISTEN"
    assert _given_by(config, "node.drain_s") == f"{file}:3"
    assert _given_by(config, "store.quota_bytes") == f"{file}:6"


def test_the_file_is_found_by_flag_then_variable_then_in_its_usual_place(tmp_path: Path) -> None:
    usual = tmp_path / ".config/fleek-edge/config.toml"
    usual.parent.mkdir(parents=True)
    usual.write_text("[node]\nworkers = 1")
    other = tmp_path / "other.toml"
    other.write_text("[node]\nworkers = 2")
    assert _load(tmp_path).node.workers == 1
    assert _load(tmp_path, environ={"FLEEK_EDGE_CONFIG": str(other)}).node.workers == 2
    assert _load(tmp_path, "[node]\nworkers = 3", {"FLEEK_EDGE_CONFIG": str(other)}).node.workers == 3


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("[node]\nworker = 1", 2, "no such setting: node.worker"),
        ("[stor]\n", 1, "no such section: [stor]"),
        ("[node]\nworkers = 128", 2, "node.workers must be at most 127, not 128"),
        ("[node]\nworkers = -1", 2, "node.workers must be at least 0, not -1"),
        ("[node]\nworkers = 1.5", 2, "node.workers must be a whole number"),
        ("[node]\noffline = 'perhaps'", 2, "node.offline must be true or false"),
        ("[node]\nlisten = '8080'", 2, "section [node]: listen must be host:port"),
        ("[node]\nlisten = '[::1:80'", 2, "section [node]: listen must"),
        ("[node]\nlisten = '127.0.0.1:8081'", 2, "section [node]: listen and admin are both 127.0.0.1:8081"),
        (
            "[node]\ntls_listen = '127.0.0.1:8443'",
            2,
            "section [node]: tls_listen, tls_cert and tls_key go together",
        ),
        ("[store]\n\ndurability = 'perhaps'", 3, "store.durability must be one of full, lazy, none"),
        ("[store]\ncommit_bytes = 1", 2, "section [store]: commit_bytes must be at least"),
        ("[http]\nheader_s = 0", 2, "section [http]: header_s must be greater than 0"),
        ("[log]\naccess = 'xml'", 2, "section [log]: access is one of"),
        ("[node\n", 1, "the file is not valid TOML"),
    ],
)
def test_a_mistake_is_refused_with_its_line(tmp_path: Path, text: str, line: int, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        _load(tmp_path, text)
    assert caught.value.message.startswith(message)
    assert caught.value.where == f"{tmp_path / 'edge.toml'}:{line}"


def test_two_listeners_on_any_free_port_do_not_clash(tmp_path: Path) -> None:
    config = _load(tmp_path, listen="127.0.0.1:0", admin="127.0.0.1:0")
    assert config.node.listen == config.node.admin


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    for place, message in ((tmp_path / "none.toml", "no such file"), (tmp_path, "is a directory")):
        with pytest.raises(UsageError) as caught:
            load(place, {}, {})
        assert message in caught.value.message
        assert caught.value.where == str(place)


def test_a_file_that_is_no_text_or_far_too_large_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "edge.toml"
    file.write_bytes(b"[node]\nlisten = '\xff'")
    with pytest.raises(UsageError, match="not UTF-8") as caught:
        load(file, {}, {})
    assert caught.value.where == f"{file}:2"
    file.write_bytes(b"#" * (2 << 20))
    with pytest.raises(UsageError, match="above 1 MiB"):
        load(file, {}, {})


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "edge.toml"
    file.write_bytes(b"\xef\xbb\xbf[node]\nworkers = 2")
    assert load(file, {}, {}).node.workers == 2


def test_reload_reads_the_file_again_under_the_same_flags(tmp_path: Path) -> None:
    config = _load(tmp_path, "[node]\nworkers = 1\ndrain_s = 1", workers="4")
    (tmp_path / "edge.toml").write_text("[node]\nworkers = 2\ndrain_s = 2")
    fresh = config.reload()
    assert (fresh.node.workers, fresh.node.drain_s) == (4, 2.0)
    (tmp_path / "edge.toml").write_text("[node]\nworkers = ")
    with pytest.raises(UsageError):
        config.reload()
    assert config.node.drain_s == 1.0


def test_a_secret_of_the_environment_is_not_kept(tmp_path: Path) -> None:
    config = _load(tmp_path, environ={"FLEEK_EDGE_TOKEN": "flk_secret", "AWS_SECRET": "hunter2"})
    assert b"hunter2" not in pickle.dumps(config)
    assert "flk_secret" not in repr(config)


def test_sections_travel_to_child_processes(tmp_path: Path) -> None:
    config = _load(tmp_path)
    for section in (config.node, config.store, config.http, config.log):
        assert pickle.loads(pickle.dumps(section)) == section


@pytest.mark.parametrize(
    "url", ["https://edge.example", "http://192.0.2.1:8080/", "https://[2001:db8::1]:444"]
)
def test_a_public_url_is_an_origin(tmp_path: Path, url: str) -> None:
    assert _load(tmp_path, f"[node]\npublic_url = '{url}'\n").node.public_url == url


@pytest.mark.parametrize(
    "url", ["edge.example", "ftp://a", "https://a/b", "https://a:0", "https://a:65536", "https://u@a"]
)
def test_anything_else_is_no_public_url(tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError, match="public_url") as refused:
        _load(tmp_path, f"[node]\npublic_url = '{url}'\n")
    assert refused.value.where == f"{tmp_path / 'edge.toml'}:2"
