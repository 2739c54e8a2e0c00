"""The language of a page: chosen by the request, with templates that translate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request

from satchel.translations import DEFAULT, NAMES, number, percent, translations, won
from satchel.web.formats import good, model, moment

HERE: Final = Path(__file__).parent
TEMPLATES: Final = HERE / "templates"

COOKIE: Final = "satchel_language"


@dataclass(frozen=True, slots=True)
class Language:
    """One language: its code, its own name for itself, and its templates."""

    code: str
    name: str
    templates: Environment


def load_languages(values: Mapping[str, Any]) -> dict[str, Language]:
    """Read every language.

    Args:
        values: what all templates may use, whatever the language.
    """
    return {code: Language(code, name, _environment(code, values)) for code, name in NAMES.items()}


def chosen_language(request: Request) -> str:
    """Return the code of the reader's language: ?lang=, else cookie, else Accept-Language."""
    for wish in (request.query_params.get("lang"), request.cookies.get(COOKIE)):
        if wish in NAMES:
            return str(wish)
    return accepted_language(request.headers.get("accept-language", ""))


def accepted_language(header: str) -> str:
    """Return our language that an Accept-Language header (RFC 9110, 12.5.4) prefers."""
    wishes: list[tuple[float, str]] = []
    for part in header.split(",")[:20]:
        tag, _, parameter = part.partition(";")
        weight = _weight(parameter)
        if weight > 0:
            wishes.append((weight, tag.strip().lower().partition("-")[0]))
    wishes.sort(key=lambda wish: -wish[0])  # stable: of equal weights the first wins
    return next((code for _, code in wishes if code in NAMES), DEFAULT)


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    try:
        return float(value) if name.strip() == "q" else 1.0
    except ValueError:
        return 0.0


def _environment(code: str, values: Mapping[str, Any]) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.install_gettext_translations(  # type: ignore[attr-defined] # of the extension
        translations(code), newstyle=True
    )
    environment.policies["ext.i18n.trimmed"] = True
    environment.filters["good"] = partial(good, language=code)
    environment.filters["model"] = model
    environment.globals.update(
        values, language=code, model=model, moment=moment, number=number, percent=percent, won=won
    )
    return environment
