"""The front: which requests are a service's, and that hits stay the gateway's own."""

import pytest

from gateway.hosts import Hosts
from net.answer import Answer
from net.fields import Fields
from net.http1 import Request
from node.front import Front
from tests.net.memory_app import Bytes, MemoryApp


def front() -> Front:
    def named(name: str) -> MemoryApp:
        return MemoryApp(answers=_Any(name), hits={b"/x": Bytes(b"x").hit()})

    hosts = Hosts(("localhost",), ("127.0.0.0/8",), "site.example".__eq__)
    services = [("/pinning/v1", named("pinning")), ("/car", named("car"))]
    return Front(named("gateway"), hosts, services)


class _Any(dict):  # type: ignore[type-arg]
    """Answers every path with the name of the app."""

    def __init__(self, name: str) -> None:
        self.name = name

    def get(self, path: str, default: object = None) -> object:
        return lambda request: Answer(200, [], self.name.encode())


def whose(target: str, host: str = "127.0.0.1:8080", peer: str = "", **fields: str) -> str:
    path = target if target.startswith(("/", "*")) else "/" + target.split("/", 3)[3]
    path, _, query = path.partition("?")
    pairs = [("host", host), *((name.replace("_", "-"), text) for name, text in fields.items())]
    request = Request("GET", target, path, query, (1, 1), Fields(pairs), True, None, False, False, peer=peer)
    answer = front().decide(request)
    assert answer is not None
    assert isinstance(answer.body, bytes)
    return answer.body.decode()


@pytest.mark.parametrize(
    ("target", "owner"),
    [
        ("/pinning/v1", "pinning"),
        ("/pinning/v1/pins?limit=3", "pinning"),
        ("/pinning/v1?x", "pinning"),
        ("/pinning/v10", "gateway"),
        ("/pinning", "gateway"),
        ("/pinning/v2/pins", "gateway"),
        ("/car", "car"),
        ("/car/7", "car"),
        ("/cars", "gateway"),
        ("/ipfs/car", "gateway"),
        ("/", "gateway"),
        ("*", "gateway"),
    ],
)
def test_a_path_names_a_service_and_all_below_it(target: str, owner: str) -> None:
    assert whose(target) == owner


@pytest.mark.parametrize(
    ("host", "owner"),
    [
        ("localhost:8080", "car"),
        ("edge.example", "car"),
        ("bafkqaaa.ipfs.localhost:8080", "gateway"),
        ("site.example", "gateway"),
    ],
)
def test_an_isolated_origin_has_every_path_to_itself(host: str, owner: str) -> None:
    assert whose("/car/7", host) == owner


def test_the_host_is_the_one_a_trusted_proxy_names() -> None:
    isolated = "bafkqaaa.ipfs.localhost"
    assert whose("/car", peer="127.0.0.1", x_forwarded_host=isolated) == "gateway"
    assert whose("/car", peer="192.0.2.1", x_forwarded_host=isolated) == "car"
    assert whose("/car", isolated, peer="127.0.0.1", x_forwarded_host="localhost") == "car"


def test_a_request_to_a_proxy_is_the_gateways_to_refuse() -> None:
    assert whose("http://elsewhere.example/car", "elsewhere.example") == "gateway"
    assert whose("http://localhost:8080/car", "localhost:8080") == "car"


def test_hits_and_shared_hosts_are_the_gateways_own_methods() -> None:
    gateway = MemoryApp(hits={b"/x": Bytes(b"x").hit()})
    made = Front(gateway, Hosts((), (), lambda _: False), ())
    assert made.hit == gateway.hit
    assert made.shares == gateway.shares
