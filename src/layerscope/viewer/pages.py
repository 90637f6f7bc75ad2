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
import threading
from collections import deque
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
OVER = "this view was ended; run the cell again"
CLOSED = "this widget was closed"

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
        self._worker, self._loop = Worker(), Loop()
        self._lines: dict[str, Line] = {}  # the one used last is the last one
        self._over: deque[str] = deque(maxlen=8 * MOST_PAGES)  # names of pages that were ended

    def __len__(self) -> int:
        return len(self._lines)

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._session is None

    def hear(self, content: Any, buffers: Sequence[Any] = ()) -> None:
        """Take a message, in any thread; nothing is waited for."""
        if not isinstance(content, Mapping) or not isinstance(content.get("page"), str):
            return  # nobody's: there is no page that could be told
        if not self.closed:
            self._loop.soon(self._hear, content, [bytes(each) for each in buffers])

    def close(self) -> None:
        """End all pages, and let go of the net."""
        if self._session is not None:
            self._session.mover.stop()
        self._session = None
        for line in list(self._lines.values()):
            line.say(ended=CLOSED)
            self._loop.soon(self._end, line)
        self._loop.end()
        self._worker.stop()

    def _hear(self, content: Mapping[str, Any], raw: list[bytes]) -> None:
        page, do, session = content["page"], str(content.get("do")), self._session
        if session is None:
            return
        if page in self._over:
            if do != "close":
                self._send({"page": page, "ended": OVER}, [])
            return
        # A kernel with several threads may hand on "open" after what was said behind it.
        line = self._lines.pop(page, None) or self._open(page, session)
        self._lines[page] = line
        if do == "close":
            self._end(line)
        else:
            line.hear(do, content, raw)

    def _open(self, page: str, session: Session) -> Line:
        while len(self._lines) >= MOST_PAGES:
            oldest = next(iter(self._lines.values()))
            oldest.say(ended=TOO_MANY)
            self._end(oldest)
        line = Line(page, session, self._worker, self._send)
        line.begin(self._serve(line, session))
        return line

    def _end(self, line: Line) -> None:
        self._lines.pop(line.page, None)
        self._over.append(line.page)
        line.end()

    async def _serve(self, line: Line, session: Session) -> None:
        """Talk with a page until it goes."""
        try:
            await Live(line, session, self._worker).converse()
        except UsageError as error:
            line.say(ended=fault_line(error))
            self._end(line)
        finally:
            if not self._lines and not self.closed:
                await self._worker.do(session.rest)


class Line:
    """The way to one page; a `Socket` to its conversation.  It is used in one event loop."""

    def __init__(self, page: str, session: Session, worker: Worker, send: Send) -> None:
        self.page = page
        self._session, self._worker, self._send = session, worker, send
        self._said: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()
        self._pieces: list[bytes] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def receive(self) -> Mapping[str, Any]:
        """What the page said next."""
        return await self._said.get()

    async def send_text(self, data: str) -> None:
        """Say it to the page."""
        self.say(text=data)

    async def send_bytes(self, data: bytes) -> None:
        """Say it to the page."""
        self._send({"page": self.page}, [data])

    def say(self, **words: Any) -> None:
        """Send the page a message without bytes."""
        self._send({"page": self.page, **words}, [])

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it beside all else, until the page ends."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def end(self) -> None:
        """Let everything be."""
        for task in self._tasks:
            task.cancel()

    def hear(self, do: str, content: Mapping[str, Any], raw: list[bytes]) -> None:
        """Take a message of the page."""
        if do == "ping":
            self.say()
        elif do == "say" and raw:
            self._said.put_nowait({"type": "websocket.receive", "bytes": raw[0]})
        elif do == "say":
            text = str(content.get("text", ""))
            self._said.put_nowait({"type": "websocket.receive", "text": text})
        elif do == "piece":
            if sum(map(len, self._pieces)) <= UPLOAD_BYTES:  # what is more is refused at the end
                self._pieces += raw[:1]
        elif do in ("get", "upload"):
            pieces, self._pieces = [*self._pieces, *raw[:1]], []
            what = content.get("what") if do == "get" else do
            self.begin(self._answer(lambda: self._found(what, pieces), content.get("number")))

    async def _answer(self, job: Callable[[], dict[str, Any]], number: Any) -> None:
        try:
            found = await self._worker.do(lambda: to_json(job()))
        except Exception as error:
            found = to_json({"fault": fault_line(error)})
        self.say(number=number, text=found)

    def _found(self, what: Any, pieces: list[bytes]) -> dict[str, Any]:
        """What was asked for; runs in the worker's thread."""
        if what == "upload":
            check_size(sum(map(len, pieces)))
            found = self._session.accept(uploaded(b"".join(pieces)))
            return {"key": found.key, "title": found.title}
        if what == "images":
            return self._session.gallery.as_json()
        if what == "facts":
            return facts(self._session)
        raise UsageError("a page asks for facts or images, or uploads one")


class Loop:
    """An event loop in a thread of its own, which starts when it is needed.

    That of a kernel is not free while a cell runs, and there may be several: messages of a widget
    arrive in the main thread, and in others.
    """

    def __init__(self) -> None:
        self._lock, self._ready = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop  # from when it is ready
        self._ended = asyncio.Event()

    def soon(self, action: Callable[..., Any], *given: Any) -> None:
        """Call it there; nothing happens when the loop has ended."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="layerscope", daemon=True)
                self._thread.start()
                self._ready.wait()
        try:
            self._loop.call_soon_threadsafe(action, *given)
        except RuntimeError:
            return

    def end(self) -> None:
        """Cancel all that goes on there, and end the thread."""
        if self._thread is not None:
            self.soon(self._ended.set)

    def _run(self) -> None:
        asyncio.run(self._stay())  # what is left at the end is cancelled

    async def _stay(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ready.set()
        await self._ended.wait()
