"""The conversation with one page, over its WebSocket or through a notebook.

The page says what it looks at, and sends camera frames; it is sent one message a frame, the next
one only after it said that the last one is drawn.  So a slow page gets fewer frames, and nothing
waits for it in memory: of camera frames the newest is kept, of looks the last.
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Awaitable, Mapping
from time import perf_counter
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from starlette.websockets import WebSocket, WebSocketDisconnect

from layerscope.errors import LayerscopeError, UsageError
from layerscope.measure.distribution import distribution
from layerscope.measure.top import top
from layerscope.show.drawing import planes
from layerscope.text import one_line, printable
from layerscope.viewer.asking import Asking
from layerscope.viewer.guard import same_token
from layerscope.viewer.memory import give_back
from layerscope.viewer.scope import CAMERA, Look, Scope
from layerscope.viewer.session import Session
from layerscope.viewer.study import answer
from layerscope.viewer.wire import Message, is_maps, spread_json, thumb, to_json, whole
from layerscope.viewer.worker import Worker

GUESSES = 5
MOST_TEXT = 100_000
TOKEN_SECONDS = 5.0
_REFUSED, _MALFORMED = 4401, 4400
_FRAME_HEAD = struct.Struct("<II")


class Socket(Protocol):
    """What a conversation needs of the way to its page; a `WebSocket` is one."""

    async def receive(self) -> Mapping[str, Any]:
        """The next event: "websocket.receive" with bytes or text, or "websocket.disconnect"."""

    async def send_text(self, data: str) -> None:
        """An answer."""

    async def send_bytes(self, data: bytes) -> None:
        """A frame."""


async def talk(socket: WebSocket, session: Session, worker: Worker, token: str) -> None:
    """The conversation over a WebSocket, until the page goes; it begins with the token."""
    await socket.accept()
    try:
        async with asyncio.timeout(TOKEN_SECONDS):
            first = _message(await socket.receive_text())
        if not same_token(str(first.get("token", "")), token):
            await socket.close(_REFUSED)
            return
        await Live(socket, session, worker).converse()
    except (TimeoutError, KeyError):
        await socket.close(_REFUSED)
    except UsageError:
        await socket.close(_MALFORMED)
    except WebSocketDisconnect:
        pass


class Live:
    """One page."""

    def __init__(self, socket: Socket, session: Session, worker: Worker) -> None:
        self._socket, self._session, self._worker = socket, session, worker
        self._scope = Scope(session)
        self._look = Look()
        self._picture: NDArray[np.uint8] | None = None
        self._sequence = 0  # of the camera frame that waits
        self._dropped = 0
        self._asking = Asking(worker, self._reply)
        self._changed, self._free = asyncio.Event(), asyncio.Event()
        self._free.set()

    async def converse(self) -> None:
        """Listen and draw at once, until the page goes.

        Raises:
            UsageError: the page said what no page says.
        """
        drawing = asyncio.create_task(self._draw())
        try:
            await self._listen()
        finally:
            drawing.cancel()
            await self._asking.end()
            await asyncio.gather(drawing, return_exceptions=True)
            self._forget()

    def _forget(self) -> None:
        """The page has gone: so do its blobs."""
        self._scope = Scope(self._session)
        give_back()

    async def _listen(self) -> None:
        while True:
            event = await self._socket.receive()
            if event["type"] == "websocket.disconnect":
                return
            if event.get("bytes") is not None:
                self._camera(event["bytes"])
            else:
                await self._hear(_message(event.get("text") or ""))

    def _camera(self, raw: bytes) -> None:
        """Keep a frame: the newest one wins."""
        size = self._session.image_size
        head = _FRAME_HEAD.size
        if size is None or len(raw) != head + 3 * size[0] * size[1]:
            raise UsageError("a camera frame is not of the net's size")
        if self._picture is not None:
            self._dropped += 1
        sequence, _ = _FRAME_HEAD.unpack_from(raw)
        pixels = np.frombuffer(raw, np.uint8, offset=head).reshape(*size, 3)
        self._picture, self._sequence = pixels, sequence
        self._changed.set()

    async def _hear(self, words: Mapping[str, Any]) -> None:
        if "drawn" in words:
            self._free.set()
        elif "look" in words:
            look = words["look"]
            if not isinstance(look, dict):
                raise UsageError("a look is a mapping")
            self._look = Look.of(look, self._session.net.blobs)
            self._changed.set()
        elif words.get("ask") == "moved":
            self._asking.ask(self._scope, words)  # frames and other questions go on meanwhile
        elif "ask" in words:
            await self._reply(words.get("id"), self._answered(words))
        else:
            raise UsageError("a message without look, ask or drawn")

    async def _reply(self, number: Any, answering: Awaitable[dict[str, Any]]) -> None:
        try:
            found = await answering
        except Exception as error:
            found = {"fault": fault_line(error)}
        await self._socket.send_text(to_json({"id": number, **found}))

    async def _answered(self, words: Mapping[str, Any]) -> dict[str, Any]:
        if words.get("ask") == "progress":
            return self._asking.progress()
        return await self._worker.do(lambda: answer(self._scope, words))

    async def _draw(self) -> None:
        """A message for each change, when the page has drawn the last one."""
        while True:
            await self._changed.wait()
            await self._free.wait()
            self._changed.clear()
            look, picture, sequence = self._look, self._picture, self._sequence
            self._picture = None
            message = await self._worker.do(lambda: self._frame(look, picture, sequence))  # noqa: B023 - run before the next
            self._free.clear()
            await self._socket.send_bytes(message)

    def _frame(self, look: Look, picture: NDArray[np.uint8] | None, sequence: int) -> bytes:
        try:
            return frame(self._scope, look, picture, {"seen": sequence, "dropped": self._dropped})
        except Exception as error:
            failed = Message("fault")
            failed.head.update(fault=fault_line(error), seen=sequence, dropped=self._dropped)
            return failed.bytes()


def frame(
    scope: Scope, look: Look, picture: NDArray[np.uint8] | None, extra: Mapping[str, int]
) -> bytes:
    """What a look shows of the input, as a message; runs in the worker's thread.

    Raises:
        LayerscopeError: the input cannot be fed, or the run failed.
    """
    scope.put(look, picture)
    message = Message("frame")
    if look.image == CAMERA and not scope.fed:
        message.head.update(waiting=True, **extra)
        return message.bytes()
    session = scope.session
    guessed = [session.probability] if session.probability else []
    scope.need([*look.thumbs, *([look.blob] if look.blob else []), *guessed])
    begun = perf_counter()
    message.head.update(frame=scope.frame, image=look.image, **extra)
    message.head["fed"] = scope.fed[session.main_input].statement
    message.head["thumbs"] = {
        name: thumb(message, scope.arrays[name], _order(scope, name)) for name in look.thumbs
    }
    if look.blob:
        array = scope.arrays[look.blob]
        message.head["blob"], spread = whole(message, array, look.first)
        message.head["blob"]["name"] = look.blob
        message.head["spread"] = spread_json(spread)
        message.head["tile"] = _tile(array, look.tile)
    if guessed:
        message.head["guesses"] = guesses(scope.arrays[guessed[0]], session.labels)
    scope.times["pack"] = 1000 * (perf_counter() - begun)
    message.head["times"] = dict(scope.times)
    return message.bytes()


def guesses(array: NDArray[Any], labels: list[str]) -> list[dict[str, Any]]:
    """The most likely classes."""
    return [
        {"index": each.index, "value": each.value, "label": printable(each.label)}
        for each in top(array[0], labels, GUESSES)
    ]


def _tile(array: NDArray[Any], tile: int) -> dict[str, Any] | None:
    """How the numbers of one tile are spread."""
    if tile < 0 or array.ndim < 2 or not is_maps(array.shape[1:]):
        return None
    tiles = planes(array[0])
    if tile >= len(tiles):
        return None
    return {"tile": tile, **spread_json(distribution(tiles[tile].reshape(-1)))}


def _order(scope: Scope, name: str) -> str:
    """The order of colours, where a blob is the image that was fed."""
    net = scope.session.net
    fed = scope.fed.get(net.blobs[name].value)
    if fed is None or fed.array.shape[1:2] != (3,) or fed.array.ndim != 4:
        return ""
    return "RGB" if net.preprocessing.channels == "RGB" else "BGR"


def fault_line(error: Exception) -> str:
    """An error as one line for a person."""
    if isinstance(error, LayerscopeError):
        return one_line(str(error))
    if isinstance(error, MemoryError):
        return "not enough memory"
    return one_line(f"a fault in layerscope itself ({type(error).__name__}: {error})")


def _message(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text) if len(text) <= MOST_TEXT else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise UsageError("a message is one mapping, as JSON")
    return found
