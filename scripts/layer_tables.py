"""Write docs/layers.md from the networks themselves; a test keeps the two equal.

python scripts/layer_tables.py
"""

from __future__ import annotations

from pathlib import Path

from pegboard.describe import describe_model

PAGE = Path(__file__).resolve().parent.parent / "docs" / "layers.md"

DIGITS = ("lm", "nn", "dnn", "dnnd", "cnn", "dcnn", "fastcnn")
PHOTOS = ("cnn4", "efficientnet_lite0", "mobilenetv2", "xception", "vgg16", "probe")

HEAD = """# Layers

Every network that has a name of its own, as `pegboard models --describe NAME` prints it: the
nets for digits on 28x28 grey pictures of 10 classes, the others on colour photos of 8 classes at
their default size. Of a backbone each row is one stage; its head is trained for your classes.
Written by `python scripts/layer_tables.py`.
"""


def page() -> str:
    """Return the page's text."""
    parts = [HEAD]
    for name in DIGITS:
        size = 28 if name == "fastcnn" else None
        parts.append(_section(name, classes=10, channels=1, image_size=size))
    parts += [_section(name, classes=8, channels=None, image_size=None) for name in PHOTOS]
    return "\n".join(parts)


def _section(name: str, *, classes: int, channels: int | None, image_size: int | None) -> str:
    text, _ = describe_model(name, image_size=image_size, classes=classes, channels=channels)
    return f"## {name}\n\n```text\n{text}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
