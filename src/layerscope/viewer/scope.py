"""What one page looks at: its input, the blobs that it has of it, and what it wants to see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import UsageError
from layerscope.inputs import Fed
from layerscope.measure.explain import Explainer
from layerscope.text import printable
from layerscope.viewer.session import Session

CAMERA = "camera"
NOISE = "noise"


@dataclass(frozen=True, slots=True)
class Look:
    """What a page shows just now.

    Attributes:
        image: key of the gallery, "camera" or "noise".
        thumbs: the blobs whose thumbnails are on the screen.
        blob: the one that is shown whole, or "".
        first: the first of its tiles; more than are sent at once come in parts.
        tile: the selected one; -1 for none.
    """

    image: str = ""
    thumbs: tuple[str, ...] = ()
    blob: str = ""
    first: int = 0
    tile: int = -1

    @classmethod
    def of(cls, words: Mapping[str, Any], known: Mapping[str, Any]) -> Look:
        """From what a page sent: names that the net does not have are left out.

        Raises:
            UsageError: it is not of that form.
        """
        try:
            thumbs = [name for name in words.get("thumbs", []) if name in known]
            blob = words.get("blob", "")
            return cls(
                image=printable(words.get("image", ""), 60),
                thumbs=tuple(dict.fromkeys(thumbs)),
                blob=blob if blob in known else "",
                first=max(0, int(words.get("first", 0))),
                tile=max(-1, int(words.get("tile", -1))),
            )
        except (TypeError, ValueError, OverflowError):
            raise UsageError("this look is not of the form that the page sends") from None


@dataclass(slots=True)
class Scope:
    """The input of one page and what was computed of it; only the worker's thread uses it.

    Attributes:
        session: the net.
        fed: what is in the inputs now.
        frame: how often that changed.
        arrays: the blobs that were asked for since.
        times: milliseconds that the last frame took, by what for.
    """

    session: Session
    fed: dict[str, Fed] = field(default_factory=dict)
    frame: int = 0
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    times: dict[str, float] = field(default_factory=dict)
    _shown: str = ""
    _explainer: Explainer | None = None

    def put(self, look: Look, picture: NDArray[np.uint8] | None) -> None:
        """Put an image before the net: a new frame of the camera, or what the look asks for.

        Raises:
            LayerscopeError: it cannot be fed; the input of before is gone then.
        """
        begun = perf_counter()
        source: Any
        if picture is not None and look.image == CAMERA:
            source, statement, key = picture, self._camera_words(), CAMERA
        elif look.image == self._shown and self.fed:
            return
        elif look.image == CAMERA:
            return  # its first frame is still to come
        elif look.image == NOISE:
            source, statement, key = self.session.noise(), "noise of a fixed seed", NOISE
        else:
            found = self.session.gallery.get(look.image)
            source, statement, key = found.source, found.statement, found.key
        self.fed, self.arrays, self._explainer, self._shown = {}, {}, None, ""
        self.fed = self.session.feed(source, statement)
        self._shown = key
        self.frame += 1
        self.times["prepare"] = 1000 * (perf_counter() - begun)

    def need(self, names: Sequence[str]) -> None:
        """Have these blobs in `arrays`.

        Raises:
            LayerscopeError: the run failed.
        """
        lacking = [name for name in dict.fromkeys(names) if name not in self.arrays]
        if not lacking:
            return
        if not self.fed:
            raise UsageError("no image is before the net yet")
        begun = perf_counter()
        self.arrays.update(self.session.run(self.fed, lacking))
        self.times["run"] = 1000 * (perf_counter() - begun)

    @property
    def explainer(self) -> Explainer:
        """What explains the units of this frame; all blobs are kept then."""
        if self._explainer is None:
            if not self.fed:
                raise UsageError("no image is before the net yet")
            self._explainer = Explainer(self.session.net, self.session.blobs(self.fed))
        return self._explainer

    def array(self, name: str) -> NDArray[Any]:
        """A blob of this frame in full precision."""
        if self._explainer is not None:
            found: NDArray[Any] = self._explainer.blobs[name]
            return found
        self.need([name])
        return self.arrays[name]

    def _camera_words(self) -> str:
        height, width = self.session.image_size or (0, 0)
        how = self.session.net.preprocessing
        return f"camera, cropped from the middle to {width}x{height}; {how} ({how.source})"
