"""What only the source text tells: signatures as they were written, and the strings beneath fields."""

import ast
import importlib
import inspect
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import attrs


@attrs.frozen
class Field:
    """A field of a class as it was written."""

    name: str
    annotation: str
    default: str
    """Empty without one; `…` when it is made by a call."""
    text: str
    """The string beneath it."""


def fields_of(cls: type) -> tuple[Field, ...]:
    """The annotated fields of `cls` itself, in order; without private and inherited ones, and ClassVars."""
    body = _definition(cls).body
    return tuple(
        Field(node.target.id, written(node.annotation), _default(node), _string(after))
        for node, after in zip(body, [*body[1:], None], strict=True)
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and not node.target.id.startswith("_")
        and not written(node.annotation).startswith("ClassVar")
    )


def methods_of(cls: type) -> Iterator[tuple[str, str, str]]:
    """(name, signature, docstring) of the public methods and properties of `cls` itself, in order."""
    for node in _definition(cls).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            is_property = any(written(one) == "property" for one in node.decorator_list)
            signature = f"{node.name}: {written(node.returns)}" if is_property else _signature(node)
            yield node.name, signature, ast.get_docstring(node) or ""


def signature_of(function: Callable[..., Any]) -> str:
    """The head of a function as it was written, without its decorators."""
    node = _parsed(inspect.unwrap(function))
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    return _signature(node)


def alias_of(module: str, name: str) -> tuple[str, str]:
    """(value, string beneath it) of a type alias in `module`."""
    body = ast.parse(inspect.getsource(importlib.import_module(module))).body
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == name:
            return written(node.value), _string(after)
    raise LookupError(f"{module} has no type alias {name}")


def first_sentence(cls: object) -> str:
    """The first paragraph of a docstring, as one line."""
    text = inspect.cleandoc(getattr(cls, "__doc__", None) or "")
    return " ".join(text.partition("\n\n")[0].split())


def written(node: ast.AST | None) -> str:
    """A piece of source text; an annotation in quotes loses them."""
    if node is None:
        return ""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return ast.unparse(node)


def _definition(cls: type) -> ast.ClassDef:
    node = _parsed(cls)
    assert isinstance(node, ast.ClassDef)
    return node


def _parsed(thing: Any) -> ast.stmt:
    return ast.parse(textwrap.dedent(inspect.getsource(thing))).body[0]


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    head = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    returns = f" -> {written(node.returns)}" if node.returns is not None else ""
    one_line = f"{head} {node.name}({ast.unparse(node.args)}){returns}"
    if len(one_line) <= 100:
        return one_line
    return f"{head} {node.name}(\n{_arguments(node.args)}){returns}"


def _arguments(arguments: ast.arguments) -> str:
    """One a line."""
    places = [*arguments.posonlyargs, *arguments.args]
    missing: list[ast.expr | None] = [None] * (len(places) - len(arguments.defaults))
    lines = [*map(_argument, places, [*missing, *arguments.defaults])]
    if arguments.posonlyargs:
        lines.insert(len(arguments.posonlyargs), "/")
    if arguments.vararg is not None:
        lines.append(f"*{_argument(arguments.vararg, None)}")
    elif arguments.kwonlyargs:
        lines.append("*")
    lines += map(_argument, arguments.kwonlyargs, arguments.kw_defaults)
    if arguments.kwarg is not None:
        lines.append(f"**{_argument(arguments.kwarg, None)}")
    return "".join(f"    {line},\n" for line in lines)


def _argument(argument: ast.arg, default: ast.expr | None) -> str:
    annotation = f": {written(argument.annotation)}" if argument.annotation is not None else ""
    value = f" = {ast.unparse(default)}" if default is not None else ""
    return f"{argument.arg}{annotation}{value}"


def _default(node: ast.AnnAssign) -> str:
    if node.value is None:
        return ""
    if not isinstance(node.value, ast.Call):
        return ast.unparse(node.value)
    made = {one.arg: one.value for one in node.value.keywords}
    if "default" in made:
        return ast.unparse(made["default"])
    return "…" if "factory" in made or written(node.value.func) != "attrs.field" else ""


def _string(node: ast.stmt | None) -> str:
    value = node.value if isinstance(node, ast.Expr) else None
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return " ".join(value.value.split())
    return ""
