"""Puts the tools together with their guard. They call nobody, so they need no identity of their own."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.types import ASGIApp

from aauthkit.demo.data.reference import load
from aauthkit.demo.hosting.guard import guarded
from aauthkit.demo.hosting.settings import Settings
from aauthkit.demo.tools.server import build_app

NAME = "tools"
PORT = 9997


def build(settings: Settings) -> ASGIApp:
    """The tools as their process serves them."""
    app = build_app(load(), hosts=[urlsplit(settings.issuer).netloc])
    # The tools hold the company's data, not a person's: who calls is asked in every mode, on whose behalf in none.
    return guarded(app, settings, needs_scope=None)
