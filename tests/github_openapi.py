"""What GitHub publishes of the answers that gitml relies on: a part of its OpenAPI description.

`github_openapi.json` is made from the npm package `@octokit/openapi`, which is under the MIT
licence, which the file repeats, and too large to carry along: unpack it, and run
`python -m tests.github_openapi package/generated/api.github.com.json`.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("github_openapi.json")
_REPO = "/repos/{owner}/{repo}"
USED = (
    f"GET {_REPO}/pulls",
    f"POST {_REPO}/pulls",
    f"GET {_REPO}/pulls/{{pull_number}}",
    f"PATCH {_REPO}/pulls/{{pull_number}}",
    f"GET {_REPO}/pulls/{{pull_number}}/reviews",
    f"GET {_REPO}/commits/{{commit_sha}}/pulls",
    f"GET {_REPO}/issues/{{issue_number}}/comments",
    f"POST {_REPO}/issues/{{issue_number}}/comments",
    f"PATCH {_REPO}/issues/comments/{{comment_id}}",
    f"POST {_REPO}/issues/{{issue_number}}/labels",
    f"POST {_REPO}/statuses/{{sha}}",
    f"POST {_REPO}/actions/workflows/{{workflow_id}}/dispatches",
    f"POST {_REPO}/actions/runs/{{run_id}}/rerun",
    f"GET {_REPO}/collaborators/{{username}}/permission",
    "GET /user",
)
# The kinds of things that the answers tell of, each with an operation whose example is carried.
_EXAMPLES = {
    "pull": f"GET {_REPO}/pulls/{{pull_number}}",
    "review": f"GET {_REPO}/pulls/{{pull_number}}/reviews",
    "comment": f"POST {_REPO}/issues/{{issue_number}}/comments",
    "label": f"POST {_REPO}/issues/{{issue_number}}/labels",
    "status": f"POST {_REPO}/statuses/{{sha}}",
    "permission": f"GET {_REPO}/collaborators/{{username}}/permission",
    "user": "GET /user",
}
_REF = "#/components/schemas/"
_PROSE = ("description", "example", "examples", "externalDocs", "title", "default")


@cache
def description() -> dict[str, Any]:
    """The part of the description that is carried along."""
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def operation_of(method: str, path: str) -> str | None:
    """The operation that a request is, such as `GET /user`; None for one that gitml never makes."""
    for name in description()["operations"]:
        verb, _, template = name.partition(" ")
        if verb == method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
            return str(name)
    return None


def complaints(
    method: str, path: str, query: Mapping[str, str], asked: Any, status: int, answer: Any
) -> list[str]:
    """What GitHub's description says against a request and its answer."""
    from jsonschema import Draft4Validator
    from jsonschema.exceptions import best_match

    name = operation_of(method, path)
    if name is None:
        return [f"{method} {path}: no such operation"]
    operation, schemas = description()["operations"][name], description()["schemas"]
    if str(status) not in operation["answers"]:
        return [f"{name}: no answer with {status}"]
    if unknown := query.keys() - operation["query"].keys():
        return [f"{name}: the query has {unknown}"]
    pairs = [("answer", operation["answers"][str(status)], answer)]
    for key, value in query.items():
        schema = operation["query"][key]
        pairs.append((key, schema, int(value) if schema.get("type") == "integer" else value))
    if operation["request"]:
        pairs.append(("request", operation["request"], asked))
    found = []
    for what, schema, value in pairs:
        rooted = {"components": {"schemas": schemas}, **schema}
        error = best_match(Draft4Validator(rooted).iter_errors(value)) if schema else None
        if error is not None:
            found.append(f"{name}: {what} {list(error.path)}: {error.message[:200]}")
    return found


def example(name: str) -> Any:
    """GitHub's own example of a thing, such as `pull`."""
    found = json.loads(json.dumps(description()["examples"][name]))
    return found[0] if isinstance(found, list) else found


# -- making the file -----------------------------------------------------------------------


def extract(document: Mapping[str, Any]) -> dict[str, Any]:
    """The used operations, their schemas as plain JSON Schema, and an example of each answer."""
    operations, examples, schemas = {}, {}, {}
    kinds = {operation: kind for kind, operation in _EXAMPLES.items()}
    for name in USED:
        method, _, path = name.partition(" ")
        source = document["paths"][path][method.lower()]
        asked = _content(source.get("requestBody", {}))
        answers, refusals = {}, {"401", "403", "404", "422"}
        for status, answer in source["responses"].items():
            content = _content(answer)
            answers[status] = _plain(content.get("schema", {}))
            if name in kinds and status < "3":
                example = next(iter(content["examples"].values()))["$ref"].rpartition("/")[2]
                examples[kinds[name]] = document["components"]["examples"][example]["value"]
        answers |= {status: {} for status in refusals}
        operations[name] = {
            "query": _query(source.get("parameters", []), document["components"]["parameters"]),
            "request": _plain(asked.get("schema", {})),
            "answers": answers,
        }
    waiting = [*_refs(operations)]
    while waiting:
        if (name := waiting.pop()) not in schemas:
            schemas[name] = _plain(document["components"]["schemas"][name])
            waiting += _refs(schemas[name])
    version = document["info"]["version"]
    source = f"@octokit/openapi {version} (npm, MIT), generated/api.github.com.json"
    return {
        "source": source,
        "operations": operations,
        "schemas": schemas,
        "examples": examples,
    }


def _query(parameters: list[Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """What may stand in an operation's query: names, and the schemas of their values."""
    full = [named[it["$ref"].rpartition("/")[2]] if "$ref" in it else it for it in parameters]
    return {it["name"]: _plain(it["schema"]) for it in full if it["in"] == "query"}


def _content(part: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = part.get("content", {}).get("application/json", {})
    return found


def _refs(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"].removeprefix(_REF)
        for value in schema.values():
            yield from _refs(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _refs(value)


def _plain(schema: Any, *, names: bool = False) -> Any:
    """OpenAPI 3.0's dialect as JSON Schema: `nullable` is a type, prose and examples are gone.

    `names` tells that the keys are those of properties.
    """
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {
        key: _plain(value, names=key == "properties" and not names)
        for key, value in schema.items()
        if names or not (key in _PROSE or key.startswith("x-") or key == "discriminator")
    }
    if not names and kept.pop("nullable", False) is True:
        return {"anyOf": [{"type": "null"}, kept]}
    return kept


if __name__ == "__main__":
    source = Path(sys.argv[1])
    made = extract(json.loads(source.read_text(encoding="utf-8")))
    made["licence"] = source.parent.parent.joinpath("LICENSE").read_text(encoding="utf-8")
    FILE.write_text(json.dumps(made, indent=0, sort_keys=True) + "\n", encoding="utf-8")
