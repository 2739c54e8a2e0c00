"""The languages of the pages: which one a reader wants, and its words, numbers and templates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from babel import Locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent
from babel.support import NullTranslations, Translations
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request

HERE: Final = Path(__file__).parent
TEMPLATES: Final = HERE / "templates"
LOCALES: Final = HERE / "locale"
DOMAIN: Final = "satchel"

NAMES: Final = {"en": "English", "ko": "한국어"}
DEFAULT: Final = "en"
COOKIE: Final = "satchel_language"


@dataclass(frozen=True, slots=True)
class Language:
    """One language: its code, its name in itself, and the templates in it."""

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
    """Return our language that an Accept-Language header (RFC 9110, 12.5.4) likes best."""
    wishes: list[tuple[float, str]] = []
    for part in header.split(",")[:20]:
        tag, _, parameter = part.partition(";")
        weight = _weight(parameter)
        if weight > 0:
            wishes.append((weight, tag.strip().lower().partition("-")[0]))
    wishes.sort(key=lambda wish: -wish[0])  # stable: of equal wishes the first wins
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
    words = translations(code)
    environment.install_gettext_callables(  # type: ignore[attr-defined] # added by the extension
        words.ugettext, words.ungettext, newstyle=True
    )
    environment.policies["ext.i18n.trimmed"] = True
    locale = Locale.parse(code)
    environment.globals.update(values, number=_number(locale), percent=_percent(locale))
    return environment


def translations(code: str) -> NullTranslations:
    """Read the words of a language from its .po file; English is what the templates say."""
    path = LOCALES / code / "LC_MESSAGES" / f"{DOMAIN}.po"
    if not path.exists():
        return NullTranslations()
    with path.open("rb") as file:
        catalogue = read_po(file, locale=code, domain=DOMAIN)
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Translations(compiled, DOMAIN)


def _number(locale: Locale) -> Callable[[float], str]:
    return lambda value: format_decimal(value, locale=locale)


def _percent(locale: Locale) -> Callable[[float], str]:
    def percent(share: float) -> str:
        """Whole percents; never 0 or 100, which would claim more than a model knows."""
        if share < 0.01:
            return "< " + format_percent(0.01, locale=locale)
        return format_percent(min(share, 0.99), locale=locale)

    return percent
