"""Who may talk to the server, and what every answer says to the browser.

Any page that a person has open may send requests to this machine, under a name of its own (DNS
rebinding) or as itself (cross-site requests).  So the Host has to be one of an exact set, an Origin
the same, before any route is looked at and before a WebSocket is accepted; and whatever is about
the net needs the token of this run, which only the printed link has.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Iterable, Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN_HEADER = b"x-layerscope-token"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:;"
    " connect-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'; require-trusted-types-for 'script'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"permissions-policy", b"camera=(self), microphone=(), geolocation=()"),
    (b"cache-control", b"no-store"),
    (b"x-frame-options", b"DENY"),
)
_SAFE = ("GET", "HEAD")
_FORBIDDEN = b"forbidden: open the link that layerscope printed\n"


class Guard:
    """Wraps the app.

    Args:
        app: what answers those who may ask.
        hosts: the Host headers that are ours.
        token: of this run.
        public: the paths that need no token: the page itself, which knows nothing of the net.
        first_message: the paths of WebSockets whose first message is the token.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: Iterable[str],
        token: str,
        public: Iterable[str],
        first_message: Iterable[str],
    ) -> None:
        self._app = app
        self._hosts = frozenset(host.encode() for host in hosts)
        self._token = token
        self._public, self._first_message = frozenset(public), frozenset(first_message)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may be, and refuse the rest."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        allowed = self._allowed(scope)
        if scope["type"] == "websocket":
            if allowed:
                await self._app(scope, receive, send)
            else:
                await send({"type": "websocket.close", "code": 1008})
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = {name for name, _ in HEADERS}
                rest = [(n, v) for n, v in message.get("headers", []) if n.lower() not in ours]
                message = {**message, "headers": [*rest, *HEADERS]}
            await send(message)

        if allowed:
            await self._app(scope, receive, with_headers)
        else:
            await _refuse(with_headers)

    def _allowed(self, scope: Scope) -> bool:
        headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
        host, origin = _only(headers, b"host"), _only(headers, b"origin")
        if host is None or host not in self._hosts or origin is None:
            return False
        if _only(headers, b"sec-fetch-site") not in (b"", b"same-origin", b"none"):
            return False
        if origin and origin != b"http://" + host:
            return False
        socket = scope["type"] == "websocket"
        if not origin and (socket or scope["method"] not in _SAFE):
            return False  # a browser always says who asks for a socket, or changes something
        if socket:
            return scope["path"] in self._first_message
        if scope["path"] in self._public:
            return True
        given = _only(headers, TOKEN_HEADER)
        return bool(given) and same_token((given or b"").decode("latin-1"), self._token)


def same_token(given: str, token: str) -> bool:
    """Whether it is the token; the time that this takes says nothing."""
    return secrets.compare_digest(given.encode(), token.encode())


def own_hosts(host: str, port: int) -> list[str]:
    """The Host headers under which a server that listens there is reached.

    Names of other machines are never among them; what listens everywhere is reached by the numbers
    of its address too, which no other site can take for its name.
    """
    names = ["127.0.0.1", "localhost", "[::1]"]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        names.append(host.lower())
    else:
        if address.is_unspecified:
            names += _addresses()
        else:
            names.append(f"[{address}]" if address.version == 6 else str(address))
    ports = ["", ":80"] if port == 80 else [f":{port}"]
    return [name + end for name in dict.fromkeys(names) for end in ports]


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _addresses() -> list[str]:
    """The numbers of this machine's own addresses."""
    import socket

    found = []
    for family, *_, place in socket.getaddrinfo(socket.gethostname(), None):
        number = str(place[0]).partition("%")[0]
        found.append(f"[{number}]" if family == socket.AF_INET6 else number)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: asks which address would be used
            found.append(probe.getsockname()[0])
        except OSError:
            pass
    return found


def _only(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """The value of a header that may be there once; b"" where it is not, None where it is twice."""
    found = [value for key, value in headers if key.lower() == name]
    if len(found) > 1:
        return None
    return found[0] if found else b""


async def _refuse(send: Send) -> None:
    length = str(len(_FORBIDDEN)).encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", length)]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": _FORBIDDEN})
