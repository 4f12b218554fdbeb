"""Reading pages: elements by their id, and what of a page a push carries."""

from __future__ import annotations

import re
from html.parser import HTMLParser


class Elements(HTMLParser):
    """Finds where each element with an id begins and ends."""

    VOID = {"meta", "link", "input", "br", "img", "path", "line", "rect", "circle", "use"}

    def __init__(self, body: str) -> None:
        super().__init__(convert_charrefs=False)
        self.lines = [0]
        for line in body.splitlines(keepends=True):
            self.lines.append(self.lines[-1] + len(line))
        self.body, self.open, self.found = body, [], {}
        self.feed(body)

    def _at(self) -> int:
        line, column = self.getpos()
        return self.lines[line - 1] + column

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append((tag, dict(attrs).get("id"), self._at()))

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        while self.open:
            name, key, start = self.open.pop()
            if name == tag:
                if key:
                    self.found[key] = (start, self._at() + len(tag) + 3)
                return


# What belongs to the browser: the live indicator, which it writes, and the socket, which it opens and closes.
BROWSERS_OWN = re.compile(
    r'<span class="live".*?</small></span>|<div id="socket".*?</div>', re.DOTALL
)


def blanked(page: str) -> str:
    """Return the page without what a push does not carry, and without blanks between tags."""
    return re.sub(r">\s+<", "><", BROWSERS_OWN.sub("", page))
