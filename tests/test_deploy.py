"""The container file and the systemd unit: linted where the tools are, and true to the command."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from pegboard.cli.serve import serve_command

REPOSITORY = Path(__file__).resolve().parent.parent
CONTAINER = REPOSITORY / "deploy" / "Containerfile"
UNIT = REPOSITORY / "deploy" / "pegboard-serve.service"


def instructions() -> list[tuple[str, str]]:
    """The container file's instructions, continued lines joined."""
    text = re.sub(r"\\\n", " ", CONTAINER.read_text("utf-8"))
    lines = [line for line in text.splitlines() if line and not line.startswith(("#", " "))]
    return [(line.split()[0], line.partition(" ")[2]) for line in lines]


def tool(name: str) -> str:
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def test_the_container_file_is_clean() -> None:
    done = subprocess.run(
        [tool("hadolint"), str(CONTAINER)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_the_server_is_no_root_and_has_no_compiler_beside_it() -> None:
    found = instructions()
    stages = [number for number, (name, _) in enumerate(found) if name == "FROM"]
    assert len(stages) == 2
    last = found[stages[-1] :]
    (user,) = [value for name, value in last if name == "USER"]
    assert user.isdecimal()
    assert int(user) > 0
    assert not any("pip" in value for name, value in last if name == "RUN")
    # Each image says exactly which Python and which Debian it is.
    assert all(re.match(r"\S+:\d+\.\d+-slim-\w+", value) for name, value in found if name == "FROM")


def test_what_is_installed_holds_no_torch() -> None:
    (run,) = [value for name, value in instructions() if "pip install" in value]
    (extra,) = re.findall(r"\.\[(\w+)\]", run)
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"][extra]]
    assert extra == "serve"
    assert not any(re.match(r"torch|timm|pegboard|onnxscript", name) for name in wanted)


def test_everything_the_build_copies_gets_past_the_ignore_file() -> None:
    kept = set(re.findall(r"^!(\S+)", Path(f"{CONTAINER}.dockerignore").read_text("utf-8"), re.M))
    copied = {
        name.removeprefix("./")
        for instruction, value in instructions()
        if instruction == "COPY" and "--from" not in value
        for name in value.split()[:-1]
    }
    assert copied == kept
    assert all((REPOSITORY / name).exists() for name in copied)


def commands() -> list[list[str]]:
    """The arguments that both give to ``pegboard serve``."""
    (entry,) = [value for name, value in instructions() if name == "ENTRYPOINT"]
    (start,) = re.findall(r"^ExecStart=(.+)$", UNIT.read_text("utf-8"), re.M)
    (more,) = [value for name, value in instructions() if name == "CMD"]
    words = [
        [*re.findall(r'"([^"]+)"', entry), *re.findall(r'"([^"]+)"', more)],
        shlex.split(start),
    ]
    return [line[line.index("serve") + 1 :] for line in words]


@pytest.mark.parametrize("arguments", commands(), ids=["container", "unit"])
def test_the_command_is_one_that_there_is(arguments: list[str]) -> None:
    context = serve_command.make_context("serve", list(arguments))
    assert str(context.params["bundle"]).endswith("/model.pegboard")


def test_the_unit_is_valid_and_shuts_the_service_in(tmp_path: Path) -> None:
    systemd = tool("systemd-analyze")
    unit = tmp_path / UNIT.name
    # Only a program that is there passes.
    unit.write_text(re.sub(r"/opt/pegboard/bin/pegboard", sys.executable, UNIT.read_text("utf-8")))
    done = subprocess.run(
        [systemd, "verify", str(unit)], capture_output=True, text=True, check=False
    )
    if "Failed to initialize" in done.stderr:
        pytest.skip("systemd-analyze does not run here")
    assert done.returncode == 0, done.stderr
    assert UNIT.name not in done.stderr
    # 0 is shut in completely, 10 not at all; a plain service has 9.6.
    told = subprocess.run(
        [systemd, "security", "--offline=true", "--threshold=20", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout[-300:]
