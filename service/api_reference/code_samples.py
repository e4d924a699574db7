"""Code samples of an operation in curl, Python and TypeScript, made of the description's own examples.

A sample takes the service's address and the API key from the environment, ``REWARDS_URL`` and ``REWARDS_KEY``, and runs as
it stands. Python needs httpx; TypeScript nothing.
"""

from __future__ import annotations

import json
from typing import Any, cast
from urllib.parse import quote

JsonObject = dict[str, Any]

_PYTHON_WORDS = {True: "True", False: "False", None: "None"}


def code_samples(path: str, method: str, operation: JsonObject, schemas: JsonObject) -> list[JsonObject]:
    """What `x-codeSamples` of an operation lists."""
    call = _Call(path, method, operation, schemas)
    return [
        {"lang": "Shell", "label": "curl", "source": call.curl()},
        {"lang": "Python", "label": "Python", "source": call.python()},
        {"lang": "TypeScript", "label": "TypeScript", "source": call.typescript()},
    ]


class _Call:
    """One request that an operation takes, by its examples."""

    def __init__(self, path: str, method: str, operation: JsonObject, schemas: JsonObject) -> None:
        parameters: list[JsonObject] = operation.get("parameters", [])
        self.method = method.upper()
        self.path = path
        for parameter in parameters:
            if parameter["in"] == "path":
                self.path = self.path.replace(f"{{{parameter['name']}}}", quote(str(parameter["example"]), safe=""))
        needed = [each for each in parameters if each["in"] == "query" and each.get("required")]
        if needed:
            self.path += "?" + "&".join(f"{each['name']}={quote(str(_value(each)))}" for each in needed)
        self.headers: dict[str, str] = {}
        self.needs_key = bool(operation.get("security"))
        for parameter in parameters:
            if parameter["in"] == "header" and parameter.get("required"):
                self.headers[parameter["name"]] = str(parameter["example"])
        content = operation.get("requestBody", {}).get("content", {})
        self.body = _example(content["application/json"]["schema"], schemas) if "application/json" in content else None
        self.is_json = any("json" in each for each in _success(operation).get("content", {}))

    def curl(self) -> str:
        """For a shell. ``--json`` is of curl 7.82."""
        lines = [f'curl "$REWARDS_URL{self.path}"']
        if self.method not in ({"GET"} if self.body is None else {"POST"}):
            lines[0] = lines[0].replace("curl ", f"curl -X {self.method} ")
        if self.needs_key:
            lines.append('-H "Authorization: Bearer $REWARDS_KEY"')
        lines += [f'-H "{name}: {value}"' for name, value in self.headers.items()]
        if self.body is not None:
            text = json.dumps(self.body, indent=2, ensure_ascii=False).replace("'", "'\\''")
            lines.append(f"--json '{text}'")
        return " \\\n  ".join(lines)

    def python(self) -> str:
        """For Python, with httpx."""
        headers = {"Authorization": "f\"Bearer {os.environ['REWARDS_KEY']}\""} if self.needs_key else {}
        headers |= {name: json.dumps(value) for name, value in self.headers.items()}
        lines = ["import os", "", "import httpx", "", "response = httpx.request(", f"    {json.dumps(self.method)},"]
        lines.append(f'    os.environ["REWARDS_URL"] + {json.dumps(self.path)},')
        if headers:
            inner = ", ".join(f"{json.dumps(name)}: {value}" for name, value in headers.items())
            lines.append(f"    headers={{{inner}}},")
        if self.body is not None:
            lines.append(f"    json={_python(self.body, 1)},")
        lines += [")", "response.raise_for_status()", f"print(response.{'json()' if self.is_json else 'text'})"]
        return "\n".join(lines)

    def typescript(self) -> str:
        """For TypeScript and JavaScript, with the platform's ``fetch``."""
        headers = {"Authorization": "`Bearer ${process.env.REWARDS_KEY}`"} if self.needs_key else {}
        headers |= {name: json.dumps(value) for name, value in self.headers.items()}
        headers |= {} if self.body is None else {"Content-Type": '"application/json"'}
        lines = [f"const response = await fetch(process.env.REWARDS_URL + {json.dumps(self.path)}, {{"]
        lines.append(f"  method: {json.dumps(self.method)},")
        if headers:
            lines += ["  headers: {", *(f"    {json.dumps(name)}: {value}," for name, value in headers.items()), "  },"]
        if self.body is not None:
            text = json.dumps(self.body, indent=2, ensure_ascii=False).replace("\n", "\n  ")
            lines.append(f"  body: JSON.stringify({text}),")
        lines += ["});", "if (!response.ok) throw new Error(await response.text());"]
        lines.append(f"console.log(await response.{'json' if self.is_json else 'text'}());")
        return "\n".join(lines)


def _success(operation: JsonObject) -> JsonObject:
    answers: JsonObject = operation["responses"]
    return next(answer for status, answer in sorted(answers.items()) if status.startswith("2"))


def _value(parameter: JsonObject) -> Any:
    """An example of a parameter that must be there."""
    schema = parameter["schema"]
    return parameter.get("example", next(iter(schema.get("examples", schema.get("enum", ()))), "example"))


def _example(schema: JsonObject, schemas: JsonObject) -> Any:
    """The example of a body: its struct's own, or one item of a batch."""
    if "$ref" in schema:
        named: JsonObject = schemas[schema["$ref"].rpartition("/")[2]]
        return next(iter(named.get("examples", [{}])))
    if schema.get("type") == "array":
        return [_example(schema["items"], schemas)]
    return {name: _example(member, schemas) for name, member in schema.get("properties", {}).items()}


def _python(value: Any, depth: int) -> str:
    """A value as Python writes it, over several lines where it has members."""
    inner, outer = "    " * (depth + 1), "    " * depth
    match value:
        case dict() if value:
            named = cast("JsonObject", value)
            members = [f"{inner}{json.dumps(name)}: {_python(each, depth + 1)},\n" for name, each in named.items()]
            return f"{{\n{''.join(members)}{outer}}}"
        case list() if value:
            items = [f"{inner}{_python(each, depth + 1)},\n" for each in cast("list[Any]", value)]
            return f"[\n{''.join(items)}{outer}]"
        case bool() | None:
            return _PYTHON_WORDS[value]
        case _:
            return json.dumps(value, ensure_ascii=False)
