"""Every page carries the policy, and none of them loosens it."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import identify_hasher, make_password
from django.urls import URLPattern, get_resolver, reverse
from django.urls.resolvers import RoutePattern


def plain_addresses() -> list[str]:
    """Return the address of every pattern without parameters, outside the admin."""

    def walk(patterns, prefix: str):
        for entry in patterns:
            route = entry.pattern
            if not isinstance(route, RoutePattern) or route.converters:
                continue
            if isinstance(entry, URLPattern):
                yield f"/{prefix}{route}"
            elif str(route) != "admin/":
                yield from walk(entry.url_patterns, f"{prefix}{route}")

    return sorted(set(walk(get_resolver().url_patterns, "")))


def admin_addresses() -> list[str]:
    names = [
        f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"
        for model in admin.site._registry
    ]
    return [reverse("admin:index"), *(reverse(name) for name in names)]


def assert_strict(answer) -> None:
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"


@pytest.fixture
def root(client):
    client.force_login(get_user_model().objects.create_superuser("root", "", "secret"))
    return client


@pytest.mark.django_db
def test_every_page_carries_the_policy(client, root):
    addresses = plain_addresses() + admin_addresses()
    assert {"/", "/login/", "/healthz", "/readyz", "/admin/"} <= set(addresses)

    for address in addresses:
        answer = root.get(address)
        assert answer.status_code < 500, address
        assert_strict(answer)


@pytest.mark.django_db
def test_pages_that_do_not_exist_carry_it_too(client):
    answer = client.get("/no/such/page/")

    assert answer.status_code == 404
    assert_strict(answer)


@pytest.mark.django_db
def test_strangers_are_sent_to_the_login(client):
    for address in admin_addresses():
        assert client.get(address).status_code == 302, address


def test_logging_out_needs_a_post(client):
    assert client.get("/logout/").status_code == 405


@pytest.mark.django_db
def test_login_does_not_lead_elsewhere(client):
    get_user_model().objects.create_superuser("root", "", "correct horse battery")

    answer = client.post(
        "/login/?next=https://evil.example/",
        {"username": "root", "password": "correct horse battery"},
    )

    assert (answer.status_code, answer["Location"]) == (302, "/ops/")


def test_passwords_are_hashed_with_argon2():
    assert identify_hasher(make_password("correct horse battery")).algorithm == "argon2"
