"""Layering, provenance and refusals of settings, on sections made for the test."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from node.layers import Layers, Setting
from runtime.errors import UsageError


@dataclass(frozen=True)
class Cache:
    size_bytes: int = field(default=1024, metadata={"doc": "how much is kept"})
    ttl_s: float = field(default=60.0, metadata={"doc": "how long", "max": 100})
    folder: Path | None = None
    password: str | None = field(default=None, metadata={"secret": True})

    def __post_init__(self) -> None:
        if self.size_bytes == 13:
            raise ValueError("size_bytes of 13 brings bad luck")


@dataclass(frozen=True)
class Door:
    color: str = "red"


ANY_HINT = "`fleek-edge config explain` lists every setting"
SECTIONS = {"cache": Cache, "door": Door}


def _layers(text: str = "", environ: dict[str, str] | None = None, **flags: object) -> Layers:
    layers = Layers(SECTIONS)
    layers.file(text, "edge.toml", Path("/etc/edge"))
    layers.environment(environ or {}, {"FLEEK_EDGE_COLOR": "door.color"}, ("FLEEK_EDGE_CONFIG",))
    layers.flags("cache", flags)
    return layers


def _cache(layers: Layers) -> tuple[Cache, dict[str, Setting]]:
    section, settings = layers.section("cache")
    return section, {setting.key: setting for setting in settings}


def _refusal(text: str = "", environ: dict[str, str] | None = None, **flags: object) -> UsageError:
    with pytest.raises(UsageError) as caught:
        _layers(text, environ, **flags).section("cache")
    return caught.value


def test_nothing_given_leaves_every_default_and_says_so() -> None:
    cache, settings = _cache(_layers())
    assert cache == Cache()
    assert {setting.given_by for setting in settings.values()} == {"default"}
    assert settings["size_bytes"].doc == "how much is kept"


def test_flags_beat_environment_beats_file_beats_default() -> None:
    text = "[cache]\nsize_bytes = 1\nttl_s = 2\nfolder = 'x'\n"
    environ = {"FLEEK_EDGE_CACHE_TTL_S": "3s", "FLEEK_EDGE_CACHE_FOLDER": "/y"}
    cache, settings = _cache(_layers(text, environ, folder="/z", password=None))
    assert cache == Cache(size_bytes=1, ttl_s=3.0, folder=Path("/z"))
    assert settings["size_bytes"].given_by == "edge.toml:2"
    assert settings["ttl_s"].given_by == "environment FLEEK_EDGE_CACHE_TTL_S"
    assert settings["folder"].given_by == "--folder"
    assert settings["password"].given_by == "default"


def test_a_relative_path_in_a_file_starts_at_the_file() -> None:
    cache, _ = _cache(_layers("[cache]\nfolder = 'var/x'"))
    assert cache.folder == Path("/etc/edge/var/x")


@pytest.mark.parametrize(
    ("text", "where", "message", "hint"),
    [
        ("[cashe]\nttl_s = 1", "edge.toml:1", "no such section: [cashe]", "did you mean cache?"),
        ("\n[cache]\n\nttl = 1", "edge.toml:4", "no such setting: cache.ttl", "did you mean cache.ttl_s?"),
        (
            "[door]\nsize_bytes = 1",
            "edge.toml:2",
            "no such setting: door.size_bytes",
            "did you mean cache.size_bytes?",
        ),
        ("zzz = 1", "edge.toml:1", "no such section: [zzz]", ANY_HINT),
        ("cache = 1", "edge.toml:1", "cache must be a section: [cache]", ""),
        ("[cache]\nttl_s = 101", "edge.toml:2", "cache.ttl_s must be at most 100, not 101.0", ""),
        ("[cache]\r\n# c\r\nttl_s = 'soon'", "edge.toml:3", "cache.ttl_s must be a duration", ""),
        ("cache.ttl_s = 'soon'", "edge.toml:1", "cache.ttl_s must be a duration", ""),
        ("\ncache = {ttl_s = 'soon'}", "edge.toml:2", "cache.ttl_s must be a duration", ""),
        ("[cache]\n\"ttl_s\" = 'soon'", "edge.toml:2", "cache.ttl_s must be a duration", ""),
        ("[cache]\nttl_s = ", "edge.toml:2", "the file is not valid TOML", ""),
        ("[cache]\nttl_s = 1\nttl_s = 2", "edge.toml:3", "the file is not valid TOML", ""),
        ("[cache]\nsize_bytes = 13", "edge.toml:2", "section [cache]: size_bytes of 13 brings bad luck", ""),
    ],
)
def test_a_mistake_in_a_file_is_named_with_its_line(text: str, where: str, message: str, hint: str) -> None:
    refusal = _refusal(text)
    assert refusal.where == where
    assert refusal.message.startswith(message)
    assert refusal.hint == hint


def test_a_refusal_of_the_section_itself_is_pinned_on_the_setting_it_names() -> None:
    refusal = _refusal("[cache]\nttl_s = 1\nsize_bytes = 13", {"FLEEK_EDGE_CACHE_FOLDER": "/y"})
    assert refusal.where == "edge.toml:3"


def test_a_mistake_in_a_variable_is_named_with_the_variable() -> None:
    refusal = _refusal(environ={"FLEEK_EDGE_CACHE_TTL_S": "soon"})
    assert refusal.where == "environment FLEEK_EDGE_CACHE_TTL_S"


def test_an_unknown_variable_is_refused_with_the_nearest() -> None:
    refusal = _refusal(environ={"FLEEK_EDGE_CASHE_TTL_S": "1"})
    assert refusal.message == "no such variable: FLEEK_EDGE_CASHE_TTL_S"
    assert refusal.hint == "did you mean FLEEK_EDGE_CACHE_TTL_S?"


def test_a_mistake_in_a_flag_is_named_with_the_flag() -> None:
    assert _refusal(ttl_s="soon").where == "--ttl-s"


def test_variables_that_an_orchestrator_sets_for_a_service_are_not_settings() -> None:
    environ = {"FLEEK_EDGE_SERVICE_HOST": "10.0.0.1", "FLEEK_EDGE_PORT_8080_TCP": "tcp://10.0.0.1:8080"}
    assert _cache(_layers(environ=environ))[0] == Cache()


def test_an_alias_sets_its_setting_and_is_named_as_the_source() -> None:
    door, settings = _layers(environ={"FLEEK_EDGE_COLOR": "blue"}).section("door")
    assert door == Door("blue")
    assert settings[0].given_by == "environment FLEEK_EDGE_COLOR"


def test_two_variables_for_one_setting_must_agree() -> None:
    same = {"FLEEK_EDGE_COLOR": "blue", "FLEEK_EDGE_DOOR_COLOR": "blue"}
    assert _layers(environ=same).section("door")[0] == Door("blue")
    with pytest.raises(UsageError, match=r"two variables set door\.color") as caught:
        _layers(environ={**same, "FLEEK_EDGE_DOOR_COLOR": "red"})
    assert caught.value.where == "environment FLEEK_EDGE_COLOR, FLEEK_EDGE_DOOR_COLOR"


def test_a_secret_is_masked_wherever_it_is_shown() -> None:
    cache, settings = _cache(_layers("[cache]\npassword = 'hunter2'"))
    assert cache.password == "hunter2"
    assert "hunter2" not in str(settings["password"].shown)
    assert _cache(_layers())[1]["password"].shown is None, "an absent secret is not made to look present"


def test_a_bad_secret_is_not_repeated_in_the_complaint() -> None:
    assert "hunter2" not in _refusal("[cache]\npassword = ['hunter2']").message


def test_a_fallback_is_a_default_and_gives_way_to_everything() -> None:
    layers = _layers("[cache]\nttl_s = 5")
    layers.fallback("cache", "ttl_s", 9)
    layers.fallback("cache", "folder", Path("/home"))
    cache, settings = _cache(layers)
    assert (cache.ttl_s, cache.folder) == (5, Path("/home"))
    assert settings["folder"].given_by == "default"
