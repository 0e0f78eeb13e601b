"""Compiling the mail template as it is committed: `python -m tests.support.mail_templates` writes it again."""

from __future__ import annotations

from pathlib import Path

import mrml

import backstop_notifier.adapters

FOLDER = Path(backstop_notifier.adapters.__file__).parent / "templates"


def compiled_letter() -> str:
    """The Jinja2 HTML of `letter.mjml`. No font is loaded from anywhere."""
    options = mrml.RenderOptions(disable_comments=False, fonts={})
    source = (FOLDER / "letter.mjml").read_text(encoding="utf-8")
    return str(mrml.to_html(source, render_options=options).content) + "\n"


if __name__ == "__main__":
    (FOLDER / "letter.html").write_text(compiled_letter(), encoding="utf-8")
