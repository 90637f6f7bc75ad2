"""What the server answers: the page and its modules, the facts of the net, uploads, the socket."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from layerscope.show import page
from layerscope.viewer.facts import facts
from layerscope.viewer.gallery import check_size, uploaded
from layerscope.viewer.live import fault_line, talk
from layerscope.viewer.session import Session
from layerscope.viewer.wire import to_json
from layerscope.viewer.worker import Worker

STATIC = Path(__file__).parent / "static"
_TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".html": "text/html",
    ".svg": "image/svg+xml",
}


@cache
def page_files() -> dict[str, Path]:
    """URL to file: the page, its own modules, and those that are the report's.

    The files are listed once; no part of a request ever becomes a path.
    """
    found = {f"/static/{path.name}": path for path in sorted(STATIC.iterdir()) if path.is_file()}
    shared = (path for path in sorted(page.FOLDER.iterdir()) if path.suffix in (".js", ".css"))
    found.update({f"/page/{path.name}": path for path in shared})
    return {"/": found.pop("/static/index.html"), **found}


class Routes:
    """The endpoints of one server."""

    def __init__(self, session: Session, worker: Worker, token: str) -> None:
        self.session, self.worker, self.token = session, worker, token

    async def file(self, request: Request) -> Response:
        """A file of the page."""
        path = page_files()[request.scope["path"]]
        return Response(path.read_bytes(), media_type=f"{_TYPES[path.suffix]}; charset=utf-8")

    async def facts(self, request: Request) -> Response:
        """What there is to know of the net."""
        return _json(await self.worker.do(lambda: to_json(facts(self.session))))

    async def images(self, request: Request) -> Response:
        """The images that can be chosen."""
        return _json(to_json(self.session.gallery.as_json()))

    async def upload(self, request: Request) -> Response:
        """Take an image: the body is the file, its size is checked while it is read."""
        try:
            content = await _body(request)
            found = await self.worker.do(lambda: self.session.accept(uploaded(content)))
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception as error:
            return _json(to_json({"fault": fault_line(error)}))  # an answer, no failed request
        return _json(to_json({"key": found.key, "title": found.title}))

    async def live(self, socket: WebSocket) -> None:
        """The conversation with one page."""
        await talk(socket, self.session, self.worker, self.token)


async def _body(request: Request) -> bytes:
    """The body, no more of it than is allowed.

    Raises:
        LimitError: it is too large.
    """
    stated = request.headers.get("content-length", "0")
    check_size(int(stated) if stated.isdecimal() and len(stated) < 16 else 0)
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        check_size(size)
        parts.append(part)
    return b"".join(parts)


def _json(content: str) -> Response:
    return Response(content, media_type="application/json")
