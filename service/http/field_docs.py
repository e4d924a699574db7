"""What fields are documented with: the text below a field, as in ``points: int`` and then a string that says what points.

A struct that carries another's fields (a batch's result, say) names it in ``described_by`` and repeats none of its texts.
"""

from __future__ import annotations

import ast
import functools
import inspect
import sys
from collections.abc import Iterator
from typing import Any, cast

import msgspec


class ItemResult:
    """What every result of a batch has, beside what it says of its item: for ``described_by``."""

    index: int
    """The item's index in the request, from 0, counting invalid items too."""
    status: int
    """The HTTP status the item would have as a single request."""
    problem: Any
    """What is wrong with the item; absent if nothing is."""


def field_texts(struct: type[msgspec.Struct]) -> dict[str, str]:
    """The text of each field that has one, by the name that the field has on the wire."""
    wire = {field.name: field.encode_name for field in msgspec.structs.fields(struct)}
    found: dict[str, str] = {}
    for source in _sources(struct):
        for name, text in _below_fields(source.__module__).get(source.__name__, {}).items():
            if name in wire:
                found.setdefault(wire[name], text)
    return found


def _sources(struct: type) -> Iterator[type]:
    for base in struct.__mro__:
        if base.__module__.startswith("service."):
            yield base
            for described_by in cast("tuple[type, ...]", vars(base).get("described_by", ())):
                yield from _sources(described_by)


@functools.cache
def _below_fields(module: str) -> dict[str, dict[str, str]]:
    """The texts below the fields of a module's classes, by class and field."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.name: _texts_in(node) for node in tree.body if isinstance(node, ast.ClassDef)}


def _texts_in(node: ast.ClassDef) -> dict[str, str]:
    texts: dict[str, str] = {}
    for above, below in zip(node.body, node.body[1:], strict=False):
        match above, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                texts[name] = " ".join(text.split())
            case _:
                pass
    return texts
