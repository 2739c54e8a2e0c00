"""What goes with YOLO labels: class names and lists of photos, from `.names`, `.data` or data.yaml.

Of YAML, what such files consist of is read: `key: value`, lists and tables of names. Paths in them
are from another machine more often than not, so they are searched for below the labels' folder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from satchel.annotate.checks import BadAnnotation, text
from satchel.errors import UsageError
from satchel.folders import walk_files

MAX_BYTES: Final = 64_000_000
MAX_CLASSES: Final = 10_000
LISTS: Final = ("train", "valid", "val", "test")
"""Keys that name the photos, in the order in which they are read."""
CONFIG_SUFFIXES: Final = ((".yaml", ".yml"), (".data",), (".names",))
CLASS_FILES: Final = ("classes.txt", "obj.names", "predefined_classes.txt")


@dataclass(frozen=True, slots=True)
class YoloConfig:
    """Class names and photos of a set of YOLO labels.

    Attributes:
        names: of the classes, by index.
        source: file that the names are from.
        root: folder below which labels and photos are.
        lists: text files that list photos, and folders of photos.
    """

    names: tuple[str, ...]
    source: Path
    root: Path
    lists: tuple[Path, ...]


def read_config(path: Path) -> YoloConfig:
    """Read what `path` says: a `.data`, `.yaml` or `.names` file, or a folder that has one.

    Raises:
        UsageError: there are no class names, or another number of them than is declared.
    """
    path = _config_in(path) if path.is_dir() else path
    root = path.parent.resolve()
    match path.suffix.lower():
        case ".yaml" | ".yml":
            values, names = _yaml(path)
            declared, source = values.get("nc"), path
            root = below(root, values.get("path", "")) or root
        case ".data":
            values = _data(path)
            source = _names_file(path, values)
            names, declared = _lines_of_names(source), values.get("classes")
        case _:
            values, source, declared = {}, path, None
            names = _lines_of_names(path)
    if declared is not None and declared != str(len(names)):
        raise UsageError(
            f"{path.name} declares {declared} classes, {source.name} names {len(names)}; correct "
            "one of them: every class after the gap would get its neighbour's name"
        )
    listed = (below(root, value) for key in LISTS for value in values.get(key, "").split("\n"))
    lists = dict.fromkeys(one for one in listed if one is not None and one != root)
    return YoloConfig(names, source, root, tuple(lists))


def below(root: Path, written: str) -> Path | None:
    """Find a path of another machine below `root`: by as much of its end as is there.

    Returns:
        An existing file or folder inside `root`, or None.
    """
    parts = [
        part
        for part in PurePosixPath(written.strip().replace("\\", "/")).parts
        if part not in ("/", ".", "..") and not part.endswith(":")
    ]
    base = root.resolve()
    for start in range(len(parts)):
        try:
            path = base.joinpath(*parts[start:])
            if path.exists() and path.resolve().is_relative_to(base):
                return path
        except (OSError, ValueError):
            return None
    return None


def read_text(path: Path) -> str:
    """Read a small text file.

    Raises:
        UsageError: it is too large, not in UTF-8, or cannot be read.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"expected at most {MAX_BYTES // 1_000_000} MB in {path}; split it")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise UsageError(f"{path} cannot be read ({reason}); check the path") from None
    except UnicodeDecodeError:
        raise UsageError(f"expected {path} in UTF-8, got other bytes; save it again") from None


def _config_in(folder: Path) -> Path:
    """Choose the file of a folder that names its classes."""
    files = [file for file in walk_files(folder) if _may_be_config(file, folder)]
    for suffixes in CONFIG_SUFFIXES:
        configs = [file for file in files if file.suffix.lower() in suffixes]
        if len(configs) > 1:
            names = ", ".join(str(file.relative_to(folder)) for file in configs[:5])
            raise UsageError(
                f"expected one {suffixes[0]} file in {folder}, found {names}; name one of them"
            )
        if configs:
            return configs[0]
    classes = [file for file in files if file.name.lower() in CLASS_FILES]
    if not classes:
        raise UsageError(
            f"expected the names of the classes in {folder} (data.yaml, a .data or .names file, or "
            "classes.txt), found none; add a file with a name a line, in the order of the classes"
        )
    return classes[0]


def _may_be_config(file: Path, folder: Path) -> bool:
    """Whether a file can name the classes; the label files of all photos are not kept in memory."""
    named = file.name.lower() in CLASS_FILES
    by_suffix = any(file.suffix.lower() in suffixes for suffixes in CONFIG_SUFFIXES)
    return (named or by_suffix) and len(file.relative_to(folder).parts) <= 2


def _names_file(path: Path, values: dict[str, str]) -> Path:
    file = below(path.parent, values.get("names", ""))
    if file is None or not file.is_file():
        raise UsageError(
            f"expected the file of class names that {path.name} names "
            f"({values.get('names', 'none')!r:.80}) next to it, found none; put it there"
        )
    return file


def _data(path: Path) -> dict[str, str]:
    """Read Darknet's `key = value` lines."""
    lines = (line.partition("#")[0] for line in read_text(path).splitlines())
    pairs = (line.partition("=") for line in lines if "=" in line)
    return {key.strip(): value.strip() for key, _, value in pairs}


def _lines_of_names(path: Path) -> tuple[str, ...]:
    lines = read_text(path).rstrip().splitlines()
    return _checked(path, ((number, line) for number, line in enumerate(lines, 1)))


def _checked(path: Path, lines: Iterator[tuple[int, str]]) -> tuple[str, ...]:
    names: list[str] = []
    for number, line in lines:
        try:
            names.append(text(line, "class name"))
        except BadAnnotation as error:
            raise UsageError(f"{path.name}, line {number:,}: {error}") from None
        if len(names) > MAX_CLASSES:
            raise UsageError(f"expected at most {MAX_CLASSES:,} classes in {path.name}")
    if not names:
        raise UsageError(f"expected a class name a line in {path}, found none")
    return tuple(names)


# -- data.yaml ------------------------------------------------------------------------------------


def _yaml(path: Path) -> tuple[dict[str, str], tuple[str, ...]]:
    """Read the top keys of a data.yaml, and its names."""
    values: dict[str, str] = {}
    blocks: dict[str, list[tuple[int, str]]] = {}
    key = ""
    for number, raw in enumerate(read_text(path).splitlines(), 1):
        line = _without_comment(raw)
        if not line.strip() or line.strip() == "---":
            continue
        match = re.match(r"([\w-]+)\s*:(?:\s+(.*))?$", line)
        if match:
            key = match[1]
            values[key] = _unquoted(match[2] or "")
        else:  # an item of the key above
            blocks.setdefault(key, []).append((number, line.strip()))
    for name in LISTS:  # a list of lists or folders
        items = [_unquoted(item.removeprefix("-")) for _, item in blocks.get(name, ())]
        flow = values.get(name, "")
        items += _flow_items(flow) if flow.startswith("[") else [flow] if flow else []
        values[name] = "\n".join(items)
    return values, _yaml_names(path, values.get("names", ""), blocks.get("names", []))


def _yaml_names(path: Path, flow: str, block: list[tuple[int, str]]) -> tuple[str, ...]:
    items = block
    if flow:  # a list or table in brackets, which may go on in further lines
        items = [(0, item) for item in _flow_items(" ".join([flow, *(one for _, one in block)]))]
    if not items:
        raise UsageError(f"expected the class names under 'names:' in {path}, found none")
    numbered = [re.match(r"(\d+)\s*:\s*(.+)$", item) for _, item in items]
    if all(numbered):
        by_index = {int(match[1]): _unquoted(match[2]) for match in numbered if match}
        if sorted(by_index) != list(range(len(items))):
            raise UsageError(
                f"expected the classes 0 to {len(items) - 1} under 'names:' in {path.name}, each "
                f"once, got {sorted(by_index)!s:.80}; number them without gaps"
            )
        return _checked(path, ((0, by_index[index]) for index in range(len(items))))
    return _checked(path, ((line, _unquoted(item.removeprefix("-"))) for line, item in items))


_ITEM: Final = re.compile(
    r"""\s*((?:\d+\s*:\s*)?(?:"[^"]*"|'(?:[^']|'')*'|[^,]*))\s*(?:,|$)""", re.ASCII
)


def _flow_items(flow: str) -> list[str]:
    """Split `[a, b]` or `{0: a, 1: b}`; commas in quotes do not count."""
    inner = flow.strip().strip("[]{}").strip()
    return [_unquoted(item[1]) for item in _ITEM.finditer(inner) if item[1].strip()]


def _unquoted(value: str) -> str:
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] == "'":
        return value[1:-1].replace("''", "'")
    if len(value) > 1 and value[0] == value[-1] == '"':
        try:
            return str(json.loads(value))
        except ValueError:
            return value[1:-1]
    return value


def _without_comment(line: str) -> str:
    """Cut a comment: a # at the start or after a space, and after the last quote."""
    if line.lstrip().startswith("#"):
        return ""
    end = max(line.rfind('"'), line.rfind("'")) + 1
    return line[:end] + re.sub(r"(^|\s)#.*", "", line[end:])
