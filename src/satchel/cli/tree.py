"""The tree of commands: names of types in help, and global options anywhere on the line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from typer.core import TyperArgument, TyperGroup, TyperOption

if TYPE_CHECKING:
    from typer._click import Command

TYPES: Final = ((Path, "FILE"), (int, "NUMBER"), (float, "NUMBER"), (str, "TEXT"))
"""Type → what help calls a value of it."""

FOLDERS: Final = frozenset(
    ("workspace", "folder", "photos", "backup", "backgrounds", "draw", "directory")
)
"""Parameters of type Path that are folders."""


class Commands(TyperGroup):
    """The root command."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        for _, command in walk(self):
            for parameter in command.params:
                if isinstance(parameter, TyperArgument | TyperOption):
                    _name_type(parameter)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take the root's own options from anywhere on the line: `satchel index --quiet`."""
        return super().parse_args(ctx, self._hoisted(args))

    def _hoisted(self, args: Sequence[str]) -> list[str]:
        own = [one for one in self.params if isinstance(one, TyperOption) and not one.is_eager]
        flags = {name for one in own if one.is_flag for name in one.opts}
        valued = {name for one in own if not one.is_flag for name in one.opts}
        first: list[str] = []
        rest: list[str] = []
        words = iter(args)
        for word in words:
            if word == "--":
                return [*first, *rest, word, *words]
            if word in flags or word.partition("=")[0] in valued:
                first.append(word)
                if word in valued:
                    first += [value for value in (next(words, None),) if value is not None]
            else:
                rest.append(word)
        return first + rest


def walk(command: Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Command]]:
    """Yield a command and all below it, each with the words that call it."""
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from walk(below, (*path, name))


def _name_type(parameter: TyperArgument | TyperOption) -> None:
    """Name the values of a parameter that has no name for them."""
    kind = parameter.type_descriptor
    is_argument = isinstance(parameter, TyperArgument)
    if parameter.metavar is None and not (kind.is_choice or getattr(parameter, "is_flag", False)):
        kinds = getattr(kind.annotation, "__args__", (kind.annotation,))  # of list[str]: (str,)
        name = next((name for one, name in TYPES if one in kinds), None)
        if name == "FILE" and parameter.name in FOLDERS:
            name = "DIR"
        if name == "TEXT" and is_argument:
            name = parameter.name.removesuffix("s").upper()
        parameter.metavar = name
    if is_argument:  # its name says what it is
        parameter.display_type_rich = lambda ctx: None  # type: ignore[method-assign]
