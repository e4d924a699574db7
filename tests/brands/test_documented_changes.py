"""What the documents tell an administrator to send is taken as it stands."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.api_fixtures import Api

DOCS = Path(__file__).parents[2]
SENT = [
    (file.name, match[1])
    for file in [*DOCS.glob("*.md"), *sorted(DOCS.glob("docs/*.md"))]
    for match in re.finditer(r"`(?:PATCH|PUT) /v1/brand` with\s+`(\{.*?\})`", file.read_text())
]


def test_the_three_documents_that_say_so_are_found() -> None:
    assert {"links.md", "link-hosts.md", "pages.md", "points-and-money.md"} <= {name for name, _ in SENT}
    for file in DOCS.glob("docs/*.md"):
        assert not re.search(r"`PUT /v1/brand`[^.]*`\"", file.read_text()), file


@pytest.mark.parametrize(("name", "body"), SENT)
async def test_a_part_of_a_brand_is_taken_as_documented(api: Api, name: str, body: str) -> None:
    answer = await api.client("admin").patch("/v1/brand", json=json.loads(body))
    assert answer.status_code == 200, (name, answer.text)
