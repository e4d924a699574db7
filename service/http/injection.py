"""How a route names what the application gives it: ``services: Injected[Services]``, ``principal: Injected[Principal]``."""

from __future__ import annotations

from typing import Annotated, TypeAlias, TypeVar

from litestar.di import Dependency
from litestar.params import SkipValidationMarker

T = TypeVar("T")

Injected: TypeAlias = Annotated[T, Dependency(), SkipValidationMarker()]
"""The framework's ``NamedDependency``, but that it is taken as it is: it is ours, and nothing is to be read into its type."""
