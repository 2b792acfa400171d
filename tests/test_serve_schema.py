"""The server against its own OpenAPI description: requests made from it, answers held to it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from model_server import serving
from small_bundle import colour_bundle

PROGRAM = Path(sys.executable).with_name("schemathesis")
KEY = "a-key-of-many-letters"

# What makes bytes a photo, and which classes a model has, no schema can say: such requests are
# valid by the description and get a 422 all the same.
SETTINGS = """
[checks]
positive_data_acceptance.expected-statuses = ["2xx", "401", "422"]
"""


@pytest.mark.parametrize("key", [None, KEY], ids=["open", "with a key"])
def test_every_answer_is_as_described(tmp_path: Path, key: str | None) -> None:
    if not PROGRAM.exists():
        pytest.skip("schemathesis is not installed")
    (tmp_path / "schemathesis.toml").write_text(SETTINGS)
    options = ["--max-examples", "30", "--generation-deterministic", "--no-color"]
    if key is not None:
        options += ["--header", f"Authorization: Bearer {key}"]
    with serving(colour_bundle(tmp_path / "colours.pegboard"), key=key) as server:
        done = subprocess.run(
            [str(PROGRAM), "run", server.address + "openapi.json", *options],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "Selected: 6/6" in done.stdout
