"""The application: every route with its rule, and the guard around all of them."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute

from layerscope.viewer.guard import Guard
from layerscope.viewer.routes import Routes, page_files
from layerscope.viewer.session import Session
from layerscope.viewer.worker import Worker

SOCKET = "/live"


def routes(handler: Routes) -> list[Route | WebSocketRoute]:
    """All routes; whatever is not a file of the page needs the token, see `Guard`."""
    files = [Route(path, handler.file, methods=["GET"]) for path in page_files()]
    return [
        *files,
        Route("/api/facts", handler.facts, methods=["GET"]),
        Route("/api/images", handler.images, methods=["GET"]),
        Route("/api/images", handler.upload, methods=["POST"]),
        WebSocketRoute(SOCKET, handler.live),
    ]


def app(session: Session, worker: Worker, token: str, hosts: Iterable[str]) -> Guard:
    """The guarded application."""
    inner = Starlette(routes=routes(Routes(session, worker, token)))
    inner.router.redirect_slashes = False  # a redirect would be built from the Host header
    return Guard(inner, hosts, token, public=page_files(), first_message=[SOCKET])
