"""`layerscope.attribute`: the methods, each on a subject that was resolved once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from layerscope.errors import UnsupportedError, UsageError
from layerscope.measure.attribution.placement import placement
from layerscope.measure.attribution.registry import NO_PLACE, Method, method_named, methods
from layerscope.measure.attribution.result import Attribution
from layerscope.measure.top import probability_blob, score_blob
from layerscope.net import Net
from layerscope.text import nearest_hint, plural, printable, quoted
from layerscope.units import Unit

if TYPE_CHECKING:
    from layerscope.measure.attribution.subject import Subject


def attribute(  # noqa: PLR0913 - independent choices, all but the first four by name
    net: Net,
    inputs: Any,
    of: str = "",
    method: str = "gradcam",
    *,
    at: str = "",
    wrt: str = "",
    image: int = 0,
    labels: Sequence[str] | None = None,
    allow_missing: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
    **settings: Any,
) -> Attribution:
    """How much each place of an image counts for one unit of a net: any unit of any blob.

    Args:
        net: the net.
        inputs: an image or arrays, as for `net.run`.
        of: the unit: `prob:281`, `conv5:3,6,6`, `prob:top1`; the likeliest class when left out.
        method: its name; docs/attribution.md has what each can tell and cannot.
        at: the blob to look at, for methods that look at a layer; the last map before the unit
            when left out.
        wrt: the input to explain by, or for methods that need no other images any blob; the image
            when left out.
        image: which image of the batch.
        labels: names of the classes.
        allow_missing: fill missing weights, from a fixed seed.
        progress: called as progress(done, total, title) in long work.
        settings: of the method: `steps`, `samples`, `baseline` ...

    Returns:
        Attribution: `values`, `map`, `notes`; `save` writes the picture.

    Raises:
        UnknownNameError: there is no such method or blob.
        UsageError: there is no such unit or setting, or the unit does not depend on the input.
        UnsupportedError: an op on the way has no gradient, or it is not a number.
    """
    (found,) = attributions(
        net, inputs, of, [method], at=at, wrt=wrt, image=image, labels=labels,
        allow_missing=allow_missing, progress=progress, settings=settings,
    )  # fmt: skip
    return found


def attributions(  # noqa: PLR0913 - as above
    net: Net,
    inputs: Any,
    of: str = "",
    names: Sequence[str] = ("gradcam",),
    *,
    at: str = "",
    wrt: str = "",
    image: int = 0,
    labels: Sequence[str] | None = None,
    allow_missing: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
    settings: Mapping[str, Any] | None = None,
    left_out: Callable[[str], object] | None = None,
) -> list[Attribution]:
    """Several methods on one unit, which is found once; "all" stands for all of them.

    Each takes those of the settings that it knows; one that none of them knows is refused.

    With `left_out`, a method of "all" that this net or unit does not allow is no error: `left_out`
    is called with a line that says why.

    Raises:
        LayerscopeError: as `attribute`.
    """
    _check_kinds(of, image)
    chosen = _chosen(names)
    given = _dealt(chosen, settings or {})
    if at and not any(each.at == "layer" for each in chosen):
        raise UsageError(
            f"method {quoted(chosen[0].name)} looks at the input, not at a layer; those that look"
            f" at one: {', '.join(m.name for m in methods().values() if m.at == 'layer')}"
        )
    from layerscope.measure.attribution.subject import Subject  # loads the runtime

    subject = Subject(
        net, inputs, of, wrt=wrt, image=image, allow_missing=allow_missing, progress=progress
    )
    label, found = label_of(net, subject.unit, labels), []
    for each in chosen:
        try:
            found.append(apply(subject, each, at, label, given[each.name]))
        except (UsageError, UnsupportedError) as error:
            last = each is chosen[-1] and not found
            if left_out is None or "all" not in names or last:
                raise
            left_out(f"{each.name} is left out: {error}")
    return found


def _check_kinds(of: Any, image: Any) -> None:
    """Refuse what is no unit, or no number of an image."""
    if not isinstance(of, str) or isinstance(image, bool) or not isinstance(image, Integral):
        raise UsageError(
            f"of {quoted(of)}, image {quoted(image)}: a unit as text (prob:281) and the whole"
            " number of an image are needed"
        )


def _chosen(names: Sequence[str]) -> list[Method]:
    if "all" in names:
        return list(methods().values())
    if not names:
        raise UsageError(f"no method; possible: {', '.join(methods())}")
    return [method_named(name) for name in dict.fromkeys(names)]


def _dealt(chosen: Sequence[Method], settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """For each method its settings."""
    if len(chosen) == 1:
        return {chosen[0].name: chosen[0].settings(settings)}
    known = {name for each in chosen for name in each.defaults}
    for name in settings:
        if name not in known:
            raise UsageError(
                f"none of the methods has a setting {quoted(name)}{nearest_hint(name, known)}"
            )
    return {
        each.name: each.settings({k: v for k, v in settings.items() if k in each.defaults})
        for each in chosen
    }


def label_of(net: Net, unit: Unit, labels: Sequence[str] | None) -> str:
    """The name of the class that a unit stands for; "" where it is no class."""
    if labels is None or unit.blob != (probability_blob(net) or score_blob(net)):
        return ""
    return printable(labels[unit.index[1]]) if unit.index[1] < len(labels) else ""


def apply(
    subject: Subject, each: Method, at: str, label: str, settings: Mapping[str, Any]
) -> Attribution:
    """One method on a subject.

    Args:
        subject: the unit.
        each: the method.
        at: as for `attribute`.
        label: the class that the unit stands for; "" for none.
        settings: all that the method takes; see `Method.settings`.

    Raises:
        LayerscopeError: as `attribute`.
    """
    from layerscope.measure.attribution import layers

    subject.title, key, note = each.title, "", ""
    if each.at == "layer":
        key, note = layers.layer_of(subject, at, layers.maps(subject))
        if each.name != "contribution":
            layers.check_map(subject, key)
        found = each.apply(subject, key, **settings)
    else:
        found = each.apply(subject, **settings)
    values = np.asarray(found.values, np.float32)
    notes = [note, *found.notes, layers.saturation_note(subject) if each.slopes else ""]
    notes.append(layers.others_note(subject))
    laid = None
    if key:
        laid = placement(subject.net, key, subject.name, subject.places)
        notes.append(laid.words if laid else "")
    notes.append("" if NO_PLACE in found.notes else _odd(values))
    fed = subject.fed
    axis = None
    if found.reduction != "none" and values.ndim > 1:
        axis = 0 if key else subject.channel_axis
    return Attribution(
        method=each.name, title=each.title, paper=each.paper, unit=subject.unit,
        value=subject.value, label=label, input=subject.name, at=key, values=values,
        settings={**settings, **found.settings}, notes=tuple(filter(None, notes)),
        completeness=found.completeness, shares=found.shares, picture=subject.picture,
        fed=fed.statement if fed else "", placement=laid, reduction=found.reduction,
        channel_axis=axis,
    )  # fmt: skip


def _odd(values: np.ndarray[Any, Any]) -> str:
    """What is odd about a map: nothing in it, or numbers without end."""
    infinite = int(np.count_nonzero(~np.isfinite(values)))
    if infinite:
        return f"{plural(infinite, 'number')} of the map are not finite"
    if not values.any():
        return (
            "the map is 0 everywhere: at this image the unit does not change with the input"
            " (behind a ReLU that is off, a saturated unit, or nothing that was covered counts)"
        )
    return ""
