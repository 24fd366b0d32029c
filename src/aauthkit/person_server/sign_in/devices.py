"""What kind of browser a session was opened with, in a few words for its person: read plainly from `User-Agent`.

The header is the browser's own claim, so it helps somebody to recognise a device and decides nothing. Of its text only
names of this table are kept.
"""

from __future__ import annotations

# The first that is found counts: browsers name those they resemble too, so the particular stand before the general.
_BROWSERS = (
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chromium/", "Chromium"),
    ("HeadlessChrome/", "Chromium"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
    ("python-", "a Python program"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Macintosh", "macOS"),
    ("Linux", "Linux"),
)


def device_of(user_agent: str | None) -> str:
    """Such as `Firefox on Linux`; never more of the header than that."""
    text = (user_agent or "")[:1024]
    browser = _named(text, _BROWSERS) or "an unknown browser"
    system = _named(text, _SYSTEMS)
    return f"{browser} on {system}" if system else browser


def _named(text: str, names: tuple[tuple[str, str], ...]) -> str | None:
    return next((name for part, name in names if part in text), None)
