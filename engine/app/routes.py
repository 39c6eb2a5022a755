"""Which endpoint a request is for, and what stands in its path."""

from collections.abc import Iterable
from urllib.parse import unquote

import attrs

from engine.app.api import Endpoint, Found
from engine.errors import LocalProtocolError
from engine.transport.application import Request


@attrs.frozen(eq=False)
class _Resource:
    """Endpoints whose paths differ in nothing but the names of parameters."""

    shape: tuple[str | None, ...]
    """Words of the path; None for a parameter."""
    endpoints: dict[str, Endpoint] = attrs.field(factory=dict)
    """By method."""

    @property
    def has_parameters(self) -> bool:
        """Whether something in its path is not said by it."""
        return None in self.shape

    def fits(self, words: tuple[str, ...]) -> bool:
        """Whether it is the resource of a path. All have the same number of words."""
        pairs = zip(self.shape, words, strict=True)
        return all(part == word if part is not None else word for part, word in pairs)


class Routes:
    """Endpoints by method and path. Where two paths fit, the one with words in place of parameters wins."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        """Raises LocalProtocolError when two endpoints have the same method and path."""
        self._literal: dict[str, _Resource] = {}
        """Paths without parameters: found at once, and they win."""
        self._resources: dict[int, list[_Resource]] = {}
        shapes: dict[tuple[str | None, ...], _Resource] = {}
        for endpoint in endpoints:
            shape = tuple(None if _is_parameter(word) else word for word in _words(endpoint.path))
            if shape not in shapes:
                shapes[shape] = _Resource(shape)
                if None not in shape:
                    self._literal[endpoint.path] = shapes[shape]
                self._resources.setdefault(len(shape), []).append(shapes[shape])
            if endpoint.method in shapes[shape].endpoints:
                raise LocalProtocolError(f"there are two endpoints {endpoint.method} {endpoint.path}")
            shapes[shape].endpoints[endpoint.method] = endpoint
        for resources in self._resources.values():
            resources.sort(key=lambda resource: [word is None for word in resource.shape])

    def find(self, request: Request) -> Found | None:
        """The endpoint of a request; HEAD is answered by that of GET."""
        resource = self._resource(request.raw_path)
        if resource is None:
            return None
        endpoints = resource.endpoints
        endpoint = endpoints.get(request.method) or (
            endpoints.get("GET") if request.method == "HEAD" else None
        )
        if endpoint is None:
            return None
        return Found(
            endpoint, _parameters(endpoint, _words(request.raw_path)) if resource.has_parameters else {}
        )

    def methods(self, request: Request) -> frozenset[str]:
        """The methods that the path of a request has; none when there is no such path."""
        resource = self._resource(request.raw_path)
        methods = frozenset(resource.endpoints) if resource is not None else frozenset[str]()
        return methods | {"HEAD"} if "GET" in methods else methods

    def _resource(self, path: str) -> _Resource | None:
        literal = self._literal.get(path)
        if literal is not None:
            return literal
        words = _words(path)
        return next((one for one in self._resources.get(len(words), ()) if one.fits(words)), None)


def _parameters(endpoint: Endpoint, words: tuple[str, ...]) -> dict[str, str]:
    parts = zip(_words(endpoint.path), words, strict=True)
    return {part[1:-1]: word for part, word in parts if _is_parameter(part)}


def _is_parameter(word: str) -> bool:
    return word.startswith("{")


def _words(path: str) -> tuple[str, ...]:
    """Split before decoding, so that `%2F` is part of a word."""
    return tuple(unquote(word) for word in path.split("/")[1:])
