"""The server: where it listens, the link that opens the page, and its end."""

from __future__ import annotations

import secrets
import socket
import threading
import time
from typing import Any

import uvicorn

from layerscope.errors import SystemFaultError, UsageError
from layerscope.text import printable
from layerscope.viewer.app import app
from layerscope.viewer.guard import is_loopback, own_hosts
from layerscope.viewer.session import Session
from layerscope.viewer.worker import Worker

HOST, PORT, PORTS = "127.0.0.1", 8710, 40
_SLACK = 65_536
STARTING = 30.0  # seconds that a slow machine may take


class Viewer:
    """A server for one net.

    Args:
        session: the net and its images.
        host: where to listen.
        port: which port; 0 for any; None for 8710 or the next free one.
        browser: whether to open the page.

    Raises:
        UsageError: the host is no address of this machine.
        SystemFaultError: the port is taken.
    """

    def __init__(
        self, session: Session, *, host: str = HOST, port: int | None = None, browser: bool = True
    ) -> None:
        self._socket = listen(host, port)
        self._address, self.port = self._socket.getsockname()[:2]
        self.host = host
        self._token = secrets.token_urlsafe(24)
        self._browser = browser
        self._worker, self._mover = Worker(), session.mover
        self._thread: threading.Thread | None = None
        hosts = own_hosts(host, self.port)
        self._server = _Server(
            uvicorn.Config(
                app(session, self._worker, self._token, hosts),
                log_level="critical", access_log=False, lifespan="off", server_header=False,
                date_header=False, proxy_headers=False, ws="websockets-sansio",
                ws_max_size=_frame_bytes(session), ws_per_message_deflate=False,
                timeout_graceful_shutdown=0, h11_max_incomplete_event_size=16_384,
            )
        )  # fmt: skip

    @property
    def url(self) -> str:
        """The link of the page; its token is behind the #, which no browser sends."""
        shown = self._address if is_loopback(self.host) else self.host
        if shown in ("0.0.0.0", "::"):
            shown = next(h for h in reversed(own_hosts(shown, self.port))).rpartition(":")[0]
        elif ":" in shown:
            shown = f"[{shown}]"
        return f"http://{shown}:{self.port}/#token={self._token}"

    def run(self) -> None:
        """Serve until Ctrl-C."""
        self._open()
        self._server.run(sockets=[self._socket])

    def start(self) -> Viewer:
        """Serve in a thread of its own.

        Raises:
            SystemFaultError: the server does not start.
        """
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="layerscope server", daemon=True
        )
        self._thread.start()
        ends = time.monotonic() + STARTING
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > ends:
                self.close()
                raise SystemFaultError(f"the viewer's server did not start at port {self.port}")
            time.sleep(0.01)
        self._open()
        return self

    def close(self) -> None:
        """End the server and what it computes."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(10)
        self._worker.stop()
        self._mover.stop()
        self._socket.close()

    def __enter__(self) -> Viewer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<viewer at {self.url}>"

    def _open(self) -> None:
        if not self._browser:
            return
        import webbrowser

        # A browser may take long to start, or be one that runs in the terminal.
        threading.Thread(target=webbrowser.open, args=(self.url,), daemon=True).start()


class _Server(uvicorn.Server):
    """Ends at once: what is open is closed and not waited for."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close all."""
        self.force_exit = True
        await super().shutdown(sockets)


def listen(host: str, port: int | None) -> socket.socket:
    """A socket that listens there.

    Raises:
        UsageError: the host is no address of this machine, or the port no port.
        SystemFaultError: the port is taken.
    """
    if port is not None and not 0 <= port < 65_536:
        raise UsageError(f"port {port}: ports are 0 (any) to 65535")
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
    except OSError:
        raise UsageError(f"host {printable(host, 60)}: no address of this machine") from None
    family, address = found[0], found[4][0]
    wanted = range(PORT, PORT + PORTS) if port is None else [port]
    reason: OSError | None = None
    for each in wanted:
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((address, each))
            sock.listen(128)
            return sock
        except OSError as error:
            sock.close()
            reason = error
            if not _taken(error):
                break
    raise _refusal(host, wanted, reason)


def _taken(error: OSError) -> bool:
    import errno

    return error.errno in (errno.EADDRINUSE, errno.EACCES)


def _refusal(host: str, ports: Any, reason: OSError | None) -> Exception:
    import errno

    if reason is not None and reason.errno == errno.EADDRNOTAVAIL:
        return UsageError(f"host {printable(host, 60)}: no address of this machine")
    why = getattr(reason, "strerror", None) or "taken"
    if len(ports) > 1:
        return SystemFaultError(
            f"ports {ports[0]} to {ports[-1]} are all taken ({why}); --port 0 takes any free one"
        )
    return SystemFaultError(
        f"port {ports[0]} of {printable(host, 60)}: {why}; give another --port, or 0 for any"
    )


def _frame_bytes(session: Session) -> int:
    """The largest message of a page: a camera frame, or text."""
    height, width = session.image_size or (0, 0)
    return max(2 * _SLACK, 3 * height * width + _SLACK)
