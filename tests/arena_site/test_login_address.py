"""Where a guess comes from cannot be made up."""

from __future__ import annotations

import pytest
from django.test import RequestFactory

from arena_site.login.attempts import client_address
from tests.logins import make_user, post_login


@pytest.mark.parametrize(
    ("proxies", "header", "peer", "seen"),
    [
        # No proxy: the header is the client's own and says nothing.
        (0, "1.1.1.1", "9.9.9.9", "9.9.9.9"),
        (0, None, "9.9.9.9", "9.9.9.9"),
        # One proxy that adds: the last entry is what it saw.
        (1, "1.1.1.1", "127.0.0.1", "1.1.1.1"),
        (1, "8.8.8.8, 1.1.1.1", "127.0.0.1", "1.1.1.1"),
        (1, "8.8.8.8,,, 1.1.1.1 ", "127.0.0.1", "1.1.1.1"),
        # Two in a row: the outer one saw the client, the inner one the outer one.
        (2, "8.8.8.8, 1.1.1.1, 10.0.0.7", "127.0.0.1", "1.1.1.1"),
        # Fewer entries than proxies, or none that is an address: the peer.
        (2, "8.8.8.8", "10.0.0.9", "10.0.0.9"),
        (1, None, "10.0.0.9", "10.0.0.9"),
        (1, "8.8.8.8, somebody", "10.0.0.9", "10.0.0.9"),
        (1, "", "10.0.0.9", "10.0.0.9"),
        # One household changes its IPv6 address as it likes, but not its network.
        (0, None, "2001:db8:1:2:aaaa:bbbb:cccc:dddd", "2001:db8:1:2::"),
        (0, None, "::ffff:9.9.9.9", "9.9.9.9"),
        (0, None, "", None),
        (0, None, "unix:", None),
    ],
)
def test_an_address_is_what_the_outermost_own_proxy_saw(settings, proxies, header, peer, seen):
    settings.PROXY_COUNT = proxies
    request = RequestFactory().get("/login/", REMOTE_ADDR=peer)
    if header is not None:
        request.META["HTTP_X_FORWARDED_FOR"] = header

    assert client_address(request) == seen


@pytest.mark.django_db
@pytest.mark.usefixtures("quick_passwords")
@pytest.mark.parametrize("proxies", [0, 1])
def test_a_made_up_header_gives_no_more_guesses(client, settings, proxies):
    settings.PROXY_COUNT = proxies
    make_user()

    codes = [
        post_login(
            client,
            password="wrong",
            HTTP_X_FORWARDED_FOR=f"8.8.8.{number}" + ", 1.1.1.1" * proxies,
            HTTP_X_REAL_IP=f"8.8.8.{number}",
            HTTP_FORWARDED=f"for=8.8.8.{number}",
        ).status_code
        for number in range(1, 8)
    ]

    assert codes == [200, 200, 200, 200, 429, 429, 429]


@pytest.mark.django_db
@pytest.mark.usefixtures("quick_passwords")
def test_another_browser_gives_no_more_guesses(client):
    make_user()

    codes = [
        post_login(client, password="wrong", HTTP_USER_AGENT=f"browser {number}").status_code
        for number in range(6)
    ]

    assert codes == [200, 200, 200, 200, 429, 429]


@pytest.mark.django_db
@pytest.mark.usefixtures("quick_passwords")
@pytest.mark.parametrize(
    "name", ["\x00", "mara\x00", "a" * 300, "", "\uff4d\uff41\uff52\uff41", "%s%n", "🦊"]
)
def test_an_odd_name_breaks_nothing(client, name):
    make_user()

    assert [post_login(client, name, "wrong").status_code for _ in range(2)] == [200, 200]
