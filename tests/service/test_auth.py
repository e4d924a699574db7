"""API keys: who may call, until when, and for what."""

from __future__ import annotations


async def test_meta_says_who_calls(api):
    answer = await api.client("messaging").get("/v1/meta")
    assert answer.status_code == 200, answer.text
    print(answer.json())
