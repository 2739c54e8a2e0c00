"""Reference of the API, built from its OpenAPI description for Satchel's own page.

FastAPI's page loads its assets from the internet, which a server in a shop's back room may not
reach.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from satchel.web.api.openapi import DESCRIPTIONS

MEDIA_TYPE: Final = "application/problem+json"
PROBLEM: Final = "#/components/schemas/ProblemDetails"
FIRST_ERROR: Final = 400


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter, or a field of an object."""

    name: str
    type: str
    where: str
    required: bool
    description: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Response of an operation with one status."""

    status: str
    type: str
    description: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One address and method."""

    id: str
    method: str
    path: str
    paragraphs: tuple[str, ...]
    example: str
    fields: tuple[Field, ...]
    answers: tuple[Answer, ...]


def with_problem_types(schema: dict[str, Any], *, refused: bool) -> dict[str, Any]:
    """Declare every error response as a problem, which FastAPI describes as plain JSON.

    Its own description of a 422, with a list as the detail, is of an answer that we never give.

    Args:
        refused: whether there are accounts: every operation of the API may answer 401 and 403.
    """
    everywhere = (401, 403) if refused else ()
    for name, path in schema["paths"].items():
        for operation in path.values():
            answers = operation["responses"]
            for status in everywhere if name.startswith("/api/") else ():
                answers.setdefault(str(status), {"description": DESCRIPTIONS[status]})
            for status, answer in answers.items():
                if int(status) >= FIRST_ERROR:
                    answer["content"] = {MEDIA_TYPE: {"schema": {"$ref": PROBLEM}}}
                    if answer["description"] == "Validation Error":
                        answer["description"] = DESCRIPTIONS[422]
    for unused in ("HTTPValidationError", "ValidationError"):
        schema["components"]["schemas"].pop(unused, None)
    return schema


def operations(schema: Mapping[str, Any], base: str) -> list[Operation]:
    """Lay out every operation; `base` is the server's address in examples."""
    return [
        Operation(
            operation["operationId"],
            method.upper(),
            path,
            _paragraphs(operation.get("description", "")),
            _example(operation, base),
            (*_parameters(operation), *_body_fields(operation, schema)),
            tuple(_answers(operation)),
        )
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    ]


def schemas(schema: Mapping[str, Any]) -> dict[str, tuple[str, list[Field]]]:
    """Lay out every object that answers hold: its description and its fields, by its name."""
    return {
        name: (model.get("description", ""), _properties(model, ""))
        for name, model in schema["components"]["schemas"].items()
        if not name.startswith("Body_") and "properties" in model
    }


def type_name(schema: Mapping[str, Any]) -> str:
    """Describe the type of a JSON schema in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " | ".join(type_name(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        several = ", ".join(type_name(one) for one in schema.get("prefixItems", ()))
        return f"[{several}]" if several else f"{type_name(schema.get('items', {}))}[]"
    if "contentMediaType" in schema or schema.get("format") == "binary":
        return "file"
    bounds = [str(schema[key]) for key in ("minimum", "maximum") if key in schema]
    return str(schema.get("type", "any")) + (f" {'–'.join(bounds)}" if len(bounds) == 2 else "")


def _paragraphs(text: str) -> tuple[str, ...]:
    """Undo a docstring's line breaks; empty lines part paragraphs."""
    return tuple(" ".join(part.split()) for part in text.split("\n\n") if part.strip())


def _example(operation: Mapping[str, Any], base: str) -> str:
    samples = operation.get("x-codeSamples", [])
    return str(samples[0]["source"]).replace("{base}", base) if samples else ""


def _parameters(operation: Mapping[str, Any]) -> list[Field]:
    return [
        Field(
            one["name"],
            type_name(one["schema"]),
            one["in"],
            one.get("required", False),
            one.get("description", ""),
        )
        for one in operation.get("parameters", [])
    ]


def _body_fields(operation: Mapping[str, Any], schema: Mapping[str, Any]) -> list[Field]:
    body = operation.get("requestBody", {}).get("content", {})
    return [
        field
        for media, content in body.items()
        for field in _properties(
            schema["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]], media
        )
    ]


def _properties(model: Mapping[str, Any], where: str) -> list[Field]:
    required = model.get("required", [])
    return [
        Field(name, type_name(one), where, name in required, one.get("description", ""))
        for name, one in model.get("properties", {}).items()
    ]


def _answers(operation: Mapping[str, Any]) -> list[Answer]:
    answers = []
    for status, answer in operation["responses"].items():
        shown = ""
        for media, content in answer.get("content", {}).items():
            shown = type_name(content["schema"]) if "schema" in content else media
        answers.append(Answer(status, shown, answer.get("description", "")))
    return answers
