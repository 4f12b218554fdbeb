"""What must be told nowhere: found in the environment, taken out of log lines and of the pages that DEBUG shows."""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.views.debug import ExceptionReporter

from arena_site.env import SECRET_SUFFIXES

# A shorter one might be a word of any text.
LENGTH = 8
HIDDEN = "[secret]"
_hidden: tuple[str, ...] = ()


def secrets_in(environ: Mapping[str, str]) -> set[str]:
    """Return the values of variables that hold secrets; of addresses only their passwords, of lists each part."""
    found: set[str] = set()
    for name, value in environ.items():
        if not name.endswith(SECRET_SUFFIXES):
            continue
        if "://" in value:
            password = urlsplit(value).password or ""
            found |= {password, unquote(password)}
        else:
            found |= {part.strip() for part in value.split(",")}
    return {secret for secret in found if len(secret) >= LENGTH}


def hide(secrets: set[str]) -> None:
    """Take these out of everything that ``scrubbed`` is asked for from now on."""
    global _hidden
    # As in markup too. The longest first: one may be part of another.
    _hidden = tuple(sorted(secrets | {escape(one) for one in secrets}, key=len, reverse=True))


def scrubbed(text: str) -> str:
    """Return the text with each known secret written as ``[secret]``."""
    for secret in _hidden:
        if secret in text:
            text = text.replace(secret, HIDDEN)
    return text


hide(secrets_in(os.environ))


class CautiousReporter(ExceptionReporter):
    """Writes tracebacks without known secrets, in whatever setting, variable or message they are."""

    def get_traceback_html(self) -> SafeString:
        """Return the page that DEBUG shows."""
        # Safe as before: nothing but a fixed word was put in.
        return mark_safe(scrubbed(super().get_traceback_html()))

    def get_traceback_text(self) -> SafeString:
        """Return the same as text."""
        return mark_safe(scrubbed(super().get_traceback_text()))
