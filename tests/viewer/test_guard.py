"""Nobody but the page gets through: every route, every method, hostile Hosts and Origins."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.routing import Route, WebSocketRoute

import layerscope as ls
from coroutines import result
from layerscope.demo import DEFINITION, WEIGHTS
from layerscope.viewer.app import app
from layerscope.viewer.gallery import demo_images
from layerscope.viewer.guard import HEADERS, Guard, is_loopback, own_hosts
from layerscope.viewer.session import Session
from layerscope.viewer.worker import Worker

TOKEN = "the-token-of-this-run"
PORT = 8710
GOOD = f"127.0.0.1:{PORT}"
HOSTS = [
    None, "", "127.0.0.1", "localhost", "127.0.0.1:8711", "localhost.:8710", "localhost:8710/x", "evil.example",
    "evil.example:8710", "127.0.0.1.evil.example:8710", "127.0.0.1@evil.example:8710", "0.0.0.0:8710", "[::]:8710",
    "127.1:8710", "2130706433:8710", "0x7f.0.0.1:8710", "127.0.0.2:8710", "[::ffff:127.0.0.1]:8710", "LOCALHOST:8710 ",
    "localhost:08710", "localhost:8710,evil.example", "127.0.0.1:8710\x00", "\u0661\u0662\u0667.0.0.1:8710",
]  # fmt: skip
ORIGINS = [
    "null", "http://evil.example", "https://127.0.0.1:8710", "http://127.0.0.1", "http://127.0.0.1:8711",
    "http://localhost:8710", "http://127.0.0.1:8710/", "http://127.0.0.1:8710.evil.example", "file://",
    "chrome-extension://abc", "HTTP://127.0.0.1:8710", "http://127.0.0.1:8710, http://evil.example", " ",
]  # fmt: skip
METHODS = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "PATCH",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "get",
    "NEW",
]
SITES = ["cross-site", "same-site", "", "evil"]


@pytest.fixture(scope="module")
def guarded() -> Guard:
    session = Session(ls.open(DEFINITION, WEIGHTS), demo_images())
    return app(session, Worker(), TOKEN, own_hosts("127.0.0.1", PORT))


def paths(guarded: Guard) -> list[tuple[str, bool]]:
    """(path, whether it is a WebSocket) of every route of the app, and some that are none."""
    found: list[tuple[str, bool]] = []
    for route in guarded._app.routes:  # type: ignore[attr-defined]
        assert isinstance(route, (Route, WebSocketRoute)), f"a route of an unknown kind: {route}"
        assert "{" not in route.path, f"{route.path}: no endpoint takes a path"
        found.append((route.path, isinstance(route, WebSocketRoute)))
    return [*found, ("/none", False), ("/../etc/passwd", False), ("//", False), ("/live/", True)]


def ask(
    guarded: Guard,
    kind: str,
    path: str,
    method: str,
    headers: list[tuple[str, str]],
    messages: Any = (),
) -> list[dict[str, Any]]:
    """What the app sends."""
    sent: list[dict[str, Any]] = []
    inbox = [*messages]
    if kind == "http":
        inbox = inbox or [{"type": "http.request", "body": b"", "more_body": False}]
    else:
        inbox = [
            {"type": "websocket.connect"},
            *inbox,
            {"type": "websocket.disconnect", "code": 1000},
        ]

    async def receive() -> dict[str, Any]:
        return inbox.pop(0) if inbox else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": kind, "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "headers": [(n.encode(), v.encode("utf-8", "surrogateescape")) for n, v in headers],
        "scheme": "http", "http_version": "1.1", "server": ("127.0.0.1", PORT), "client": ("127.0.0.1", 5), "subprotocols": [],
    }  # fmt: skip
    if kind == "http":
        scope["method"] = method
    result(guarded(scope, receive, send))
    return sent


def refused(sent: list[dict[str, Any]]) -> bool:
    first = sent[0]
    if first["type"] == "websocket.close":
        return len(sent) == 1
    if first["type"] != "http.response.start":
        return False
    assert set(HEADERS) <= set(first["headers"])
    return 400 <= first["status"] < 500 and b"layerscope-demo" not in sent[1].get("body", b"")


def test_hostile_hosts_and_origins_reach_no_route(guarded: Guard) -> None:
    """Whatever else is right: the token, the method, the path."""
    token = ("x-layerscope-token", TOKEN)
    tried = 0
    for path, _ in paths(guarded):
        for kind in ("http", "websocket"):
            for method in METHODS if kind == "http" else [""]:
                for host in HOSTS:
                    headers = [token, *([("host", host)] if host is not None else [])]
                    own = [*headers, ("origin", f"http://{host}")]
                    for each in (headers, own, [*headers, ("origin", f"http://{GOOD}")]):
                        assert refused(ask(guarded, kind, path, method, each)), (
                            kind,
                            method,
                            path,
                            each,
                        )
                        tried += 1
                for origin in ORIGINS:
                    each = [token, ("host", GOOD), ("origin", origin)]
                    assert refused(ask(guarded, kind, path, method, each)), (
                        kind,
                        method,
                        path,
                        each,
                    )
                for site in SITES[:2] + SITES[3:]:
                    each = [
                        token,
                        ("host", GOOD),
                        ("origin", f"http://{GOOD}"),
                        ("sec-fetch-site", site),
                    ]
                    assert refused(ask(guarded, kind, path, method, each)), (
                        kind,
                        method,
                        path,
                        each,
                    )
                twice = [
                    token,
                    ("host", GOOD),
                    ("host", "evil.example"),
                    ("origin", f"http://{GOOD}"),
                ]
                assert refused(ask(guarded, kind, path, method, twice))
    assert tried > 1000


def test_without_the_token_there_is_only_the_page(guarded: Guard) -> None:
    """A route that nobody gave a rule to is refused: those that are open are listed here."""
    for path, socket in paths(guarded):
        for method in METHODS:
            for token in ([], [("x-layerscope-token", "wrong")], [("x-layerscope-token", "")]):
                headers = [("host", GOOD), ("origin", f"http://{GOOD}"), *token]
                sent = ask(guarded, "http", path, method, headers)
                page = path == "/" or path.startswith(("/static/", "/page/"))
                if page and method in ("GET", "HEAD"):
                    assert sent[0]["status"] == 200 and set(HEADERS) <= set(sent[0]["headers"])
                else:
                    assert refused(sent), (method, path)
        if not socket:
            headers = [("host", GOOD), ("origin", f"http://{GOOD}")]
            assert refused(ask(guarded, "websocket", path, "", headers)), path


@pytest.mark.parametrize(
    "first", ['{"token": "wrong"}', "{}", "[]", "nothing", '{"look": {}}', "[" * 90_000]
)
def test_a_socket_begins_with_the_token(guarded: Guard, first: str) -> None:
    headers = [("host", GOOD), ("origin", f"http://{GOOD}")]
    sent = ask(
        guarded, "websocket", "/live", "", headers, [{"type": "websocket.receive", "text": first}]
    )
    assert [each["type"] for each in sent] == ["websocket.accept", "websocket.close"]
    assert 4400 <= sent[1]["code"] <= 4401


def test_a_socket_needs_an_origin(guarded: Guard) -> None:
    assert refused(ask(guarded, "websocket", "/live", "", [("host", GOOD)]))
    headers = [("host", GOOD), ("x-layerscope-token", TOKEN)]
    assert refused(ask(guarded, "http", "/api/images", "POST", headers))


def test_who_has_the_token_gets_the_facts(guarded: Guard) -> None:
    headers = [
        ("host", "localhost:8710"),
        ("x-layerscope-token", TOKEN),
        ("sec-fetch-site", "same-origin"),
    ]
    sent = ask(guarded, "http", "/api/facts", "GET", headers)
    assert sent[0]["status"] == 200 and b'"layerscope-demo"' in sent[1]["body"]


def test_the_policy_allows_nothing_from_elsewhere() -> None:
    policy = dict(HEADERS)[b"content-security-policy"].decode()
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'" and rules["script-src"] == "'self'"
    assert rules["style-src"] == "'self'" and rules["connect-src"] == "'self'"
    assert "unsafe" not in policy and "*" not in policy and "http" not in policy


def test_hosts() -> None:
    assert set(own_hosts("127.0.0.1", 5)) == {"127.0.0.1:5", "localhost:5", "[::1]:5"}
    assert "192.168.1.7:5" in own_hosts("192.168.1.7", 5) and "[fe80::1]:5" in own_hosts(
        "fe80::1", 5
    )
    assert "evil.example:5" not in own_hosts("0.0.0.0", 5)
    assert "127.0.0.1" in own_hosts("127.0.0.1", 80)
    assert [is_loopback(h) for h in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "example.org")] == [
        True, True, True, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize("stated", [True, False])
def test_an_upload_ends_where_it_is_too_large(guarded: Guard, stated: bool) -> None:
    """Said or found out while reading: what comes after is not read."""
    part = b"\0" * 1_000_000
    messages = [{"type": "http.request", "body": part, "more_body": True} for _ in range(60)]
    headers = [("host", GOOD), ("origin", f"http://{GOOD}"), ("x-layerscope-token", TOKEN)]
    if stated:
        headers.append(("content-length", "60000000"))
    read = []

    class Counted(list):  # type: ignore[type-arg]
        def __iter__(self) -> Any:
            for each in messages:
                read.append(1)
                yield each

    inbox = iter(Counted())

    async def receive() -> Any:
        return next(inbox)

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/api/images", "raw_path": b"/api/images", "query_string": b"",
        "root_path": "", "headers": [(n.encode(), v.encode()) for n, v in headers], "scheme": "http",
        "http_version": "1.1", "server": ("127.0.0.1", PORT), "client": ("127.0.0.1", 5),
    }  # fmt: skip
    result(guarded(scope, receive, send))
    assert (
        sent[0]["status"] == 200
        and b"fault" in sent[1]["body"]
        and b"larger than 32 megabytes" in sent[1]["body"]
    )
    assert len(read) == (0 if stated else 33)


def test_what_has_no_rule_is_refused_though_the_app_would_take_it() -> None:
    reached = []

    async def takes_all(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope["path"])
        await send({"type": "websocket.accept"})

    guard = Guard(takes_all, [GOOD], TOKEN, public=["/"], first_message=["/live"])
    headers = [("host", GOOD), ("origin", f"http://{GOOD}"), ("x-layerscope-token", TOKEN)]
    for path in ("/new", "/", "/live/", "/LIVE"):
        assert refused(ask(guard, "websocket", path, "", headers)), path
    assert refused(ask(guard, "http", "/new", "GET", headers[:2])) and not reached
    ask(guard, "websocket", "/live", "", headers)
    assert reached == ["/live"]
