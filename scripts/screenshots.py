#!/usr/bin/env python3
"""Take pictures of a running arena into docs/screenshots: make screenshots.

Uses an installed Chromium; downloads nothing. Start the arena first (make run) and let a few rounds pass.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.error import URLError
from urllib.request import urlopen

from playwright.sync_api import Browser, Page, sync_playwright

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "screenshots"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# Without these a Chromium as root does not start, and any Chromium talks to its maker.
BROWSER_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture: file name, page, width and height of the window, colours."""

    name: str
    page: str
    width: int
    height: int
    scheme: Literal["light", "dark"]


SHOTS = (
    Shot("competition", "competition", 1440, 1000, "dark"),
    Shot("competition-light", "competition", 1440, 1000, "light"),
    Shot("competition-phone", "competition", 390, 844, "dark"),
    Shot("home", "home", 1440, 900, "light"),
    Shot("decision", "decision", 1440, 1000, "light"),
    Shot("decision-phone", "decision", 390, 844, "light"),
)


def find_pages(page: Page, address: str) -> dict[str, str]:
    """Return the addresses of the first competition and of the first decision on its page."""
    pages = {"home": address}
    page.goto(address)
    if found := _first_link(page, r"^/c/[^/]+/$"):
        pages["competition"] = address.rstrip("/") + found
        page.goto(pages["competition"])
        if found := _first_link(page, r"^/c/[^/]+/r/\d+/[^/]+/$"):
            pages["decision"] = address.rstrip("/") + found
    return pages


def _first_link(page: Page, pattern: str) -> str | None:
    links = [link.get_attribute("href") or "" for link in page.locator("a[href]").all()]
    return next((link for link in links if re.match(pattern, link)), None)


def take(browser: Browser, shot: Shot, address: str) -> Path:
    """Save one picture and return its path."""
    context = browser.new_context(
        viewport={"width": shot.width, "height": shot.height},
        color_scheme=shot.scheme,
        reduced_motion="reduce",
        device_scale_factor=1,
    )
    page = context.new_page()
    page.goto(address)
    page.wait_for_load_state("load")
    page.wait_for_timeout(1500)  # the live indicator and the first push
    path = FOLDER / f"{shot.name}.png"
    page.screenshot(path=path)
    context.close()
    return path


def parse_arguments() -> argparse.Namespace:
    """Return the address of the arena and the path of the browser."""
    parser = argparse.ArgumentParser(description="Take pictures of a running arena.")
    parser.add_argument("--address", default="http://127.0.0.1:8000/", help="of the running arena")
    parser.add_argument(
        "--chromium",
        default=next((path for name in BROWSERS if (path := shutil.which(name))), None),
        help="path of a Chromium",
    )
    return parser.parse_args()


def main() -> None:
    """Take every picture of SHOTS whose page exists."""
    arguments = parse_arguments()
    if arguments.chromium is None:
        sys.exit(f"no browser found, wanted one of {', '.join(BROWSERS)} (or --chromium PATH)")
    try:
        urlopen(f"{arguments.address.rstrip('/')}/healthz", timeout=5).close()
    except URLError as error:
        sys.exit(f"no arena answers on {arguments.address} ({error.reason}); start one: make run")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=arguments.chromium, args=list(BROWSER_ARGUMENTS)
        )
        pages = find_pages(browser.new_page(), arguments.address)
        for shot in SHOTS:
            if shot.page in pages:
                print(take(browser, shot, pages[shot.page]).name)
            else:
                print(f"no {shot.page} page yet, {shot.name} not taken", file=sys.stderr)
        browser.close()


if __name__ == "__main__":
    main()
