"""The whole configuration of one appliance: sections, one file, environment and flags.

`[node]` is below; `[store]`, `[http]` and `[log]` live beside what they configure. This is the
border where the file is opened; reading and layering are `node.layers`, spelling `node.values`.
Called by the commands in `tools/` and, on SIGHUP, by the supervisor (`Config.reload`).

Invariants
 1. A `Config` is whole and checked: nobody downstream looks at a variable or a file again.
 2. Precedence: flags > environment > file > default.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from blockstore import StoreSettings
from gateway.settings import GatewaySettings
from net.access_log import LogSettings
from net.limits import HttpLimits
from node.layers import Layers, Setting
from node.values import Address, address, is_origin
from origins.settings import OriginSettings
from pinning.settings import PinSettings
from runtime.errors import UsageError

_WORKERS_MAX: Final = 127  # two slots a worker on a board of 256, one left for the keeper (runtime.board)
_FILE_BYTES_MAX: Final = 1 << 20  # a configuration is a page of text; this stops a mistaken --config disk.img
_DAY_S: Final = 86_400.0

# Variables that name something else than a setting; `config` knows them so as not to refuse them.
NOT_SETTINGS: Final = ("FLEEK_EDGE_CONFIG", "FLEEK_EDGE_TOKEN")
_READ_PREFIXES: Final = ("FLEEK_EDGE_", "XDG_", "HOME")  # all that is read, and all that is kept for a reload
_GATEWAY_FLAGS: Final = frozenset(("dnslink_file", "subdomain_hosts", "denylists"))
_ALIASES: Final = {"FLEEK_EDGE_DATA": "node.data"}


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """What a running node is: where its data lies, where it listens, how it works."""

    data: Path = field(metadata={"doc": "folder that holds the store, tokens and run files"})
    listen: str = field(default="127.0.0.1:8080", metadata={"doc": "public listener, plain HTTP"})
    admin: str = field(default="127.0.0.1:8081", metadata={"doc": "admin listener: metrics and health"})
    admin_hosts: tuple[str, ...] = field(
        default=(), metadata={"doc": "host names, besides localhost, that operators reach admin by"}
    )
    tls_listen: str | None = field(default=None, metadata={"doc": "public listener over TLS"})
    tls_cert: Path | None = field(default=None, metadata={"doc": "certificate chain in PEM, for tls_listen"})
    tls_key: Path | None = field(default=None, metadata={"doc": "private key in PEM, for tls_listen"})
    public_url: str | None = field(
        default=None,
        metadata={
            "doc": "http(s)://host[:port] under which others reach this node; else the host that they asked"
        },
    )
    workers: int = field(
        default=0,
        metadata={"doc": "serving processes; 0 = one per core", "min": 0, "max": _WORKERS_MAX},
    )
    offline: bool = field(default=False, metadata={"doc": "never dial out"})
    drain_s: float = field(
        default=30.0,
        metadata={"doc": "longest wait for open responses when stopping or reloading", "max": 3600},
    )
    anonymous_read: bool = field(
        default=True, metadata={"doc": "serve content without a token; false asks for scope read"}
    )
    gc_interval_s: float = field(
        default=_DAY_S / 24, metadata={"doc": "time between sweeps of unrooted content; 0 = never"}
    )
    scrub_interval_s: float = field(
        default=7 * _DAY_S, metadata={"doc": "time in which everything stored is re-read; 0 = never"}
    )
    heal_interval_s: float = field(
        default=60.0,
        metadata={"doc": "time between looks for damage to bring back from where it came; 0 = never"},
    )

    def __post_init__(self) -> None:
        listeners = {"listen": self.listen, "admin": self.admin, "tls_listen": self.tls_listen}
        taken: dict[Address, str] = {}
        for key, text in listeners.items():
            if text is None:
                continue
            try:
                place = address(text)
            except ValueError as fault:
                raise ValueError(f"{key} {fault}") from None
            if place in taken and (place.port or place.path):
                raise ValueError(f"{taken[place]} and {key} are both {text}")
            taken[place] = key
        together = (self.tls_listen, self.tls_cert, self.tls_key)
        if any(together) and not all(together):
            raise ValueError("tls_listen, tls_cert and tls_key go together: all three or none")
        if self.public_url is not None and not is_origin(self.public_url):
            raise ValueError(f"public_url is {self.public_url!r}, not http(s)://host[:port]")


SECTIONS: Final[Mapping[str, type]] = {
    "node": NodeSettings,
    "store": StoreSettings,
    "http": HttpLimits,
    "log": LogSettings,
    "gateway": GatewaySettings,
    "origins": OriginSettings,
    "pinning": PinSettings,
}


@dataclass(frozen=True, slots=True)
class Config:
    """All sections, and every setting with where it came from."""

    node: NodeSettings
    store: StoreSettings
    http: HttpLimits
    log: LogSettings
    gateway: GatewaySettings
    origins: OriginSettings
    pinning: PinSettings
    settings: tuple[Setting, ...]
    file: Path | None
    _environ: Mapping[str, str] = field(repr=False)
    _flags: Mapping[str, object] = field(repr=False)

    def reload(self) -> "Config":
        """The configuration as it is now: the file read again under the same environment and flags.

        Raises UsageError and leaves this one as it is.
        """
        return load(self.file, self._environ, self._flags)


def load(config_file: Path | None, environ: Mapping[str, str], flags: Mapping[str, object]) -> Config:
    """Read, layer and check everything.

    `config_file` None means `$FLEEK_EDGE_CONFIG`, else `fleek-edge/config.toml` in the XDG
    configuration folder if there is one. `flags` are settings of `[node]`, and a few of `[gateway]`, by key;
    None = not given.
    Raises UsageError that names the setting and where it was written.
    """
    environ = {name: text for name, text in environ.items() if name.startswith(_READ_PREFIXES)}
    path = config_file or _found(environ)
    layers = Layers(SECTIONS)
    if path is not None:
        layers.file(_read(path), str(path), path.absolute().parent)
    layers.environment(environ, _ALIASES, NOT_SETTINGS)
    layers.flags("node", {key: value for key, value in flags.items() if key not in _GATEWAY_FLAGS})
    layers.flags("gateway", {key: value for key, value in flags.items() if key in _GATEWAY_FLAGS})
    layers.fallback("node", "data", _xdg(environ, "XDG_DATA_HOME", ".local/share"))
    node, node_settings = layers.section("node")
    store, store_settings = layers.section("store")
    http, http_settings = layers.section("http")
    log, log_settings = layers.section("log")
    gateway, gateway_settings = layers.section("gateway")
    origins, origin_settings = layers.section("origins")
    pinning, pin_settings = layers.section("pinning")
    settings = (
        *node_settings,
        *store_settings,
        *http_settings,
        *log_settings,
        *gateway_settings,
        *origin_settings,
        *pin_settings,
    )
    return Config(node, store, http, log, gateway, origins, pinning, settings, path, environ, dict(flags))


def _found(environ: Mapping[str, str]) -> Path | None:
    named = environ.get("FLEEK_EDGE_CONFIG")
    if named:
        return Path(named)
    usual = _xdg(environ, "XDG_CONFIG_HOME", ".config") / "config.toml"
    return usual if usual.is_file() else None


def _xdg(environ: Mapping[str, str], variable: str, below_home: str) -> Path:
    """`fleek-edge` in an XDG base folder; relative ones are invalid and ignored (XDG base dir spec 0.8)."""
    named = environ.get(variable, "")
    if named.startswith("/"):
        return Path(named) / "fleek-edge"
    return Path(environ.get("HOME") or "/") / below_home / "fleek-edge"


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(_FILE_BYTES_MAX + 1)
    except OSError as fault:
        reason = (fault.strerror or "cannot be read").lower()
        raise UsageError(f"the configuration file cannot be read: {reason}", where=str(path)) from None
    if len(raw) > _FILE_BYTES_MAX:
        hint = "is it the right file?"
        raise UsageError("the configuration file is above 1 MiB", where=str(path), hint=hint)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = raw.count(b"\n", 0, fault.start) + 1
        raise UsageError("the configuration file is not UTF-8", where=f"{path}:{line}") from None
