"""Examples for the OpenAPI document, made from the schemas: a field's own example, else one by what its name says."""

from typing import Any, Final

ULID: Final = "01JD3M6Q8V5T2X9K7B4C1DN0EF"
_BY_ENDING: Final = (
    ("id", ULID),
    ("group", ULID),
    ("at", "2026-11-23T10:10:12.781554"),
    ("url", "https://community.example.com/media/public/01JD3M6Q8V5T2X9K7B4C1DN0EF.webp"),
    ("key", f"users/{ULID}/post/01JD3M6Q8V5T2X9K7B4C1DN0EF.webp"),
    ("nickname", "앨리스"),
    ("email", "alice@example.com"),
    ("agent", "Mozilla/5.0 (Linux; Android 16)"),
    ("reason", "약관 제6조 위반"),
)
_BY_TYPE: Final[dict[str, Any]] = {"string": "된장찌개와 달걀말이", "integer": 3, "number": 0.5, "boolean": False}


def example_of(schema: dict[str, Any], schemas: dict[str, Any], name: str = "", within: tuple[str, ...] = ()) -> Any:
    """Return a value that the schema allows; `schemas` are those that it may refer to, `within` those it is part of."""
    for given in ("examples", "enum"):
        if schema.get(given):
            return schema[given][0]
    if "$ref" in schema:
        reference = schema["$ref"]
        return example_of(schemas[reference.rpartition("/")[2]], schemas, name, (*within, reference))
    if "const" in schema:
        return schema["const"]
    choices = [choice for choice in schema.get("anyOf", ()) if choice.get("type") != "null"]
    if choices:
        return example_of(choices[0], schemas, name, within)
    if schema.get("type") == "array":
        # A list of what it is in itself (the replies of a comment) is empty: it has to end somewhere.
        is_nested = schema["items"].get("$ref") in within
        return [] if is_nested else [example_of(schema["items"], schemas, name, within)]
    if "properties" in schema:
        return {key: example_of(value, schemas, key, within) for key, value in schema["properties"].items()}
    if schema.get("type") == "string":
        found = (value for ending, value in _BY_ENDING if name.lower().endswith(ending))
        return next(found, _BY_TYPE["string"])
    return _BY_TYPE.get(schema.get("type", ""), {})
