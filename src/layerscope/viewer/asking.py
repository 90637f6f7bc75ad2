"""What one page asks about what moved a unit: one question at a time, the newest wins."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from layerscope.errors import UsageError
from layerscope.viewer.scope import Scope
from layerscope.viewer.study import unit_asked
from layerscope.viewer.worker import Worker


class CancelledQuestion(Exception):
    """Nobody wants the answer any more."""


@dataclass(slots=True)
class Going:
    """A question that is being answered.

    Attributes:
        done, total: how far it is; `total` is 0 where nobody knows.
        over: nobody wants the answer any more.
    """

    done: int = 0
    total: int = 0
    over: bool = False


class Asking:
    """The questions of a page; used in its event loop.

    Args:
        worker: the thread of the frames, which alone reads a scope.
        reply: sends what is found, or its error, for the number of a question.
    """

    def __init__(
        self, worker: Worker, reply: Callable[[Any, Awaitable[dict[str, Any]]], Awaitable[None]]
    ) -> None:
        self._worker, self._reply = worker, reply
        self._going = Going()
        self._tasks: set[asyncio.Task[None]] = set()

    def ask(self, scope: Scope, words: Mapping[str, Any]) -> None:
        """Begin to answer, in place of what went on; without a method nothing begins."""
        self._going.over = True
        going = self._going = Going()
        task = asyncio.create_task(self._answer(scope, words, going))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # is seen by that: the page went before its answer

    def progress(self) -> dict[str, Any]:
        """How far it is."""
        return {"done": self._going.done, "total": self._going.total}

    async def end(self) -> None:
        """The page has gone."""
        self._going.over = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _answer(self, scope: Scope, words: Mapping[str, Any], going: Going) -> None:
        await self._reply(words.get("id"), self._found(scope, words, going))

    async def _found(self, scope: Scope, words: Mapping[str, Any], going: Going) -> dict[str, Any]:
        try:
            return await self._moved(scope, words, going) if words.get("method") else {}
        except CancelledQuestion:
            return {"fault": "cancelled", "cancelled": True}

    async def _moved(self, scope: Scope, words: Mapping[str, Any], going: Going) -> dict[str, Any]:
        session = scope.session
        unit = unit_asked(session.net, words)
        frame, fed = await self._worker.do(lambda: (scope.frame, dict(scope.fed)))
        if not fed:
            raise UsageError("no image is before the net yet")
        mover = session.mover

        def progress(done: int, total: int, _: str) -> None:
            going.done, going.total = done, total
            if not (going.over or mover.ended):
                mover.worker.let_others()
            if going.over or mover.ended:
                raise CancelledQuestion

        def job() -> dict[str, Any]:
            if going.over:
                raise CancelledQuestion
            return mover.find(fed, session.main_input, unit, words, session.labels, progress)

        return {"frame": frame, **await mover.worker.do(job)}
