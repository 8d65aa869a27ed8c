"""Griffe extension: read `name : description` of numpydoc sections as a description.

numpydoc takes what follows the colon for a type. This package has its types in the signatures and writes the
description there, so the site would show it as code.
"""

from __future__ import annotations

from typing import Any

import griffe

KINDS = {"parameters", "other parameters", "attributes", "returns", "yields"}


class DescriptionsBehindColons(griffe.Extension):
    """Move texts behind a colon from the annotation to the description."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Mend the sections of one docstring."""
        if obj.docstring is None:
            return
        for section in obj.docstring.parsed:
            if section.kind.value in KINDS:
                for item in section.value:
                    mend(item, obj)


def mend(item: Any, obj: griffe.Object) -> None:
    """Join annotation and description where the latter is empty or goes on in the middle of a sentence."""
    text, typed = item.annotation, annotation(obj, item.name)
    if text is None or str(text) == str(typed) or item.description[:1].isupper():
        return
    item.description = f"{text} {item.description}".strip()
    item.annotation = typed


def annotation(obj: griffe.Object, name: str) -> Any:
    """Return the annotation that the code has: of a parameter, of an attribute, or of what is returned."""
    if isinstance(obj, griffe.Function) and name in obj.parameters:
        return obj.parameters[name].annotation
    if isinstance(obj, griffe.Function) and not name:
        return obj.returns
    if isinstance(obj, griffe.Class):
        own = obj.all_members.get("__init__", obj)
        if isinstance(own, griffe.Function) and name in own.parameters:
            return own.parameters[name].annotation
        return getattr(obj.all_members.get(name), "annotation", None)
    return None
