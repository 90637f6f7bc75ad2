"""The pages of one widget: each talks with its own `Live`, over messages instead of a socket.

A message of a page names the page, says what to do, and may have bytes beside it:

    open, close            it begins, it goes
    say                    what it would say over its socket: `text`, or the bytes of a frame
    get                    "facts" or "images", with a number that the answer bears
    piece, upload          a part of a file, and its last part, with a number
    ping                   whether anybody is there

A page is answered with its name and a text (of an answer, with its number), or the bytes of a
frame, or with why it is ended; a ping with its name alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from layerscope.errors import UsageError
from layerscope.viewer.facts import facts
from layerscope.viewer.gallery import UPLOAD_BYTES, check_size, uploaded
from layerscope.viewer.live import Live, fault_line
from layerscope.viewer.session import Session
from layerscope.viewer.wire import to_json
from layerscope.viewer.worker import Worker

MOST_PAGES = 8
TOO_MANY = f"more than {MOST_PAGES} views of this widget are open; the one used least was ended"

Send = Callable[[dict[str, Any], list[bytes]], None]


class Pages:
    """The pages that are open; without one, nothing is kept of a run.

    Args:
        session: the net and its images.
        send: takes a message to the pages and the bytes beside it; all pages get all messages.
    """

    def __init__(self, session: Session, send: Send) -> None:
        self._session: Session | None = session
        self._send = send
        self._worker = Worker()
        self._lines: dict[str, Line] = {}  # the one used last is the last one

    def __len__(self) -> int:
        return len(self._lines)

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._session is None

    def hear(self, content: Any, buffers: Sequence[Any] = ()) -> None:
        """Take a message; it is called in an event loop, which does not wait for what is computed."""
        if not isinstance(content, Mapping) or not isinstance(content.get("page"), str):
            return  # nobody's: there is no page that could be told
        page, do = content["page"], content.get("do")
        if self._session is None:
            return
        if do == "open":
            self._open(page, self._session)
            return
        line = self._lines.pop(page, None)
        if line is None:
            if do != "close":
                self._send({"page": page, "ended": "this view was ended; run the cell again"}, [])
            return
        self._lines[page] = line
        line.hear(str(do), content, [bytes(each) for each in buffers])

    def close(self) -> None:
        """End all pages, and let go of the net."""
        self._session = None
        for line in list(self._lines.values()):
            self._send({"page": line.page, "ended": "this widget was closed"}, [])
            line.end()
        self._worker.stop()

    def _open(self, page: str, session: Session) -> None:
        while len(self._lines) >= MOST_PAGES:
            oldest = next(iter(self._lines))
            self._send({"page": oldest, "ended": TOO_MANY}, [])
            self._lines.pop(oldest).end()
        line = self._lines[page] = Line(page, session, self._worker, self._send)
        line.begin(self._serve(line, session))

    async def _serve(self, line: Line, session: Session) -> None:
        """Talk with a page until it goes."""
        try:
            await Live(line, session, self._worker).converse()
        except UsageError as error:
            self._send({"page": line.page, "ended": fault_line(error)}, [])
        finally:
            if self._lines.get(line.page) is line:
                del self._lines[line.page]
            if not self._lines and not self.closed:
                await self._worker.do(session.rest)


class Line:
    """The way to one page; a `Socket` to its conversation.

    A kernel may hand on its messages in other threads than the one in which the page was opened.
    """

    def __init__(self, page: str, session: Session, worker: Worker, send: Send) -> None:
        self.page = page
        self._session, self._worker, self._send = session, worker, send
        self._loop = asyncio.get_running_loop()
        self._said: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()
        self._pieces: list[bytes] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def receive(self) -> Mapping[str, Any]:
        """What the page said next."""
        return await self._said.get()

    async def send_text(self, data: str) -> None:
        """Say it to the page."""
        self._send({"page": self.page, "text": data}, [])

    async def send_bytes(self, data: bytes) -> None:
        """Say it to the page."""
        self._send({"page": self.page}, [data])

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it beside all else, until the page ends."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def end(self) -> None:
        """Let everything be."""
        for task in list(self._tasks):
            self._soon(task.cancel)

    def hear(self, do: str, content: Mapping[str, Any], raw: list[bytes]) -> None:
        """Take a message of the page."""
        if do == "ping":
            self._send({"page": self.page}, [])
        elif do == "close":
            self.end()
        elif do == "say" and raw:
            self._soon(self._said.put_nowait, {"type": "websocket.receive", "bytes": raw[0]})
        elif do == "say":
            text = str(content.get("text", ""))
            self._soon(self._said.put_nowait, {"type": "websocket.receive", "text": text})
        else:
            self._soon(self._ask, do, content, raw)

    def _ask(self, do: str, content: Mapping[str, Any], raw: list[bytes]) -> None:
        """Compute what was asked for, in the loop of the page."""
        if do == "piece":
            if sum(map(len, self._pieces)) <= UPLOAD_BYTES:  # what is more is refused at the end
                self._pieces += raw[:1]
            return
        pieces, self._pieces = [*self._pieces, *raw[:1]], []
        self.begin(self._answer(lambda: self._found(do, content, pieces), content.get("number")))

    def _found(self, do: str, content: Mapping[str, Any], pieces: list[bytes]) -> dict[str, Any]:
        """What was asked for; runs in the worker's thread."""
        if do == "upload":
            check_size(sum(map(len, pieces)))
            found = self._session.accept(uploaded(b"".join(pieces)))
            return {"key": found.key, "title": found.title}
        if content.get("what") == "images":
            return self._session.gallery.as_json()
        if content.get("what") == "facts":
            return facts(self._session)
        raise UsageError("a page asks for facts or images, or uploads one")

    async def _answer(self, job: Callable[[], dict[str, Any]], number: Any) -> None:
        try:
            found = await self._worker.do(lambda: to_json(job()))
        except Exception as error:
            found = to_json({"fault": fault_line(error)})
        self._send({"page": self.page, "number": number, "text": found}, [])

    def _soon(self, action: Callable[..., Any], *given: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(action, *given)
        except RuntimeError:  # the loop has ended, and all that was in it
            self._tasks.clear()
