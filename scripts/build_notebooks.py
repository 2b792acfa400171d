"""Make notebooks/NAME.ipynb, outputs included, from notebooks/NAME.py; a test keeps them in step.

python scripts/build_notebooks.py [--text] [NAME …]

``--text`` runs nothing: where only text cells have changed, the outputs stay as they are.

A source is a Python file whose cells begin with ``# %%``; text cells begin with
``# %% [markdown]`` and are comments. The cell with the tag ``parameters`` sets what a reader
may change; :func:`with_parameters` puts a cell with other values behind it.
"""

from __future__ import annotations

import base64
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from PIL import Image

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
NAMES = ("tools", "digits")

MOST_BYTES = 1_500_000
"""Of a notebook with its outputs: it has to open in a browser and stay in the repository."""

SECONDS = 3600

_CELL = re.compile(r"^# %%(.*)$", re.MULTILINE)


def source_notebook(name: str) -> nbformat.NotebookNode:
    """Return the notebook of ``notebooks/NAME.py``, without outputs."""
    text = (FOLDER / f"{name}.py").read_text("utf-8")
    _, *parts = _CELL.split(text)
    cells = [
        _cell(f"{name}-{number:02d}", head.split(), body.strip("\n"))
        for number, (head, body) in enumerate(zip(parts[::2], parts[1::2], strict=True))
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def _cell(key: str, marks: list[str], body: str) -> nbformat.NotebookNode:
    if "[markdown]" in marks:
        lines = [line.removeprefix("#").removeprefix(" ") for line in body.splitlines()]
        return nbformat.v4.new_markdown_cell("\n".join(lines), id=key)
    metadata = {"tags": ["parameters"]} if "parameters" in marks else {}
    return nbformat.v4.new_code_cell(body, id=key, metadata=metadata)


def with_parameters(
    notebook: nbformat.NotebookNode, values: Mapping[str, Any]
) -> nbformat.NotebookNode:
    """Return a copy in which the names of the parameters cell have other values.

    Raises
    ------
    ValueError
        When the cell sets no such name.
    """
    copy = nbformat.from_dict(notebook)
    tagged = [
        n for n, cell in enumerate(copy.cells) if "parameters" in cell.metadata.get("tags", ())
    ]
    cell = copy.cells[tagged[0]]
    known = re.findall(r"^([A-Z_]+) = ", cell.source, re.MULTILINE)
    unknown = set(values) - set(known)
    if unknown:
        raise ValueError(f"expected one of {known}, got {sorted(unknown)}")
    lines = "\n".join(f"{name} = {value!r}" for name, value in values.items())
    copy.cells.insert(tagged[0] + 1, nbformat.v4.new_code_cell(lines))
    return copy


def execute(notebook: nbformat.NotebookNode, folder: Path) -> nbformat.NotebookNode:
    """Run all cells with ``folder`` as the working folder; an error in a cell is raised."""
    client = NotebookClient(
        notebook, timeout=SECONDS, kernel_name="python3", resources={"metadata": {"path": folder}},
        record_timing=False,
    )  # fmt: skip
    client.execute()
    return notebook


def cleaned(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return it with small pictures and without what depends on the machine's mood."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [
                _smaller(output)
                for output in cell.outputs
                if not (output.output_type == "stream" and output.name == "stderr")
            ]
    notebook.metadata.pop("widgets", None)
    notebook.metadata.language_info = {"name": "python"}
    return notebook


def _smaller(output: nbformat.NotebookNode) -> nbformat.NotebookNode:
    data = output.get("data", {})
    if "image/png" in data:
        data["image/png"] = _fewer_colours(data["image/png"])
        data.pop("image/jpeg", None)  # Pillow offers both
    output.get("metadata", {}).clear()
    output.pop("transient", None)
    return output


def _fewer_colours(text: str) -> str:
    """Save a PNG with 256 colours, which a figure does not miss."""
    with Image.open(BytesIO(base64.b64decode(text))) as picture:
        flat = picture.convert("RGB").quantize(256, method=Image.Quantize.MEDIANCUT)
    stream = BytesIO()
    flat.save(stream, "PNG", optimize=True)
    return base64.b64encode(min(stream.getvalue(), base64.b64decode(text), key=len)).decode()


def machine_traces(notebook: nbformat.NotebookNode) -> list[str]:
    """Return what a notebook's outputs tell of the machine it ran on: places of files."""
    home = re.escape(str(Path.home()))
    places = re.compile(rf"(?:{home}|/home/|/Users/|/root|/tmp/|[A-Z]:\\)[^\s\"'<]*")
    return sorted({place for text in _shown_texts(notebook) for place in places.findall(text)})


def _shown_texts(notebook: nbformat.NotebookNode) -> Iterator[str]:
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            yield output.get("text", "")
            for kind, content in output.get("data", {}).items():
                if not kind.startswith("image/"):
                    yield content if isinstance(content, str) else str(content)


def text_of(notebook: nbformat.NotebookNode) -> str:
    """Return the notebook as it is stored."""
    return str(nbformat.writes(notebook)) + "\n"


def run_anew(name: str) -> nbformat.NotebookNode:
    """Return the notebook with the outputs of a run in a folder that is then removed."""
    with tempfile.TemporaryDirectory() as folder:
        return cleaned(execute(source_notebook(name), Path(folder)))


def with_stored_outputs(name: str) -> nbformat.NotebookNode:
    """Return the notebook with the outputs it was stored with.

    Raises
    ------
    ValueError
        When code has changed since.
    """
    notebook = source_notebook(name)
    stored = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    pairs = zip(_code(notebook), _code(stored), strict=False)
    if [cell.source for cell in _code(notebook)] != [cell.source for cell in _code(stored)]:
        raise ValueError(f"{name}: code has changed, so it has to be run; leave out --text")
    for cell, old in pairs:
        cell.outputs, cell.execution_count = old.outputs, old.execution_count
    notebook.metadata = stored.metadata
    return notebook


def _code(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def store(name: str, notebook: nbformat.NotebookNode) -> None:
    """Write the notebook.

    Raises
    ------
    ValueError
        When it is too large or tells of this machine.
    """
    text = text_of(notebook)
    if traces := machine_traces(notebook):
        raise ValueError(f"{name}: outputs name places on this machine: {traces}")
    if len(text) > MOST_BYTES:
        raise ValueError(f"{name}: {len(text):,} bytes, more than {MOST_BYTES:,}")
    (FOLDER / f"{name}.ipynb").write_text(text, "utf-8")
    sys.stderr.write(f"{name}.ipynb: {len(text):,} bytes\n")


def main(arguments: Sequence[str]) -> None:
    """Build the notebooks named, or all."""
    make = with_stored_outputs if "--text" in arguments else run_anew
    for name in [word for word in arguments if word != "--text"] or NAMES:
        store(name, make(name))


if __name__ == "__main__":
    main(sys.argv[1:])
