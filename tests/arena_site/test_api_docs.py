"""The API's page and schema: from our own files, under the policy, with every operation declared."""

from __future__ import annotations

import re

import pytest
from django.contrib.staticfiles import finders

OPEN = {"/api/v1/schemas/decision"}


def operations(client):
    """Yield path, method and declaration of each operation of the schema."""
    schema = client.get("/api/v1/openapi.json").json()
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


@pytest.mark.django_db
def test_the_page_needs_nothing_from_elsewhere(client):
    body = client.get("/api/docs").content.decode()

    addresses = re.findall(r'(?:src|href)="([^"]+)"', body)
    assert not [address for address in addresses if not address.startswith(("/", "#"))]
    ours = [address.removeprefix("/static/") for address in addresses if "/static/" in address]
    assert "ninja/swagger-ui-bundle.js" in ours
    assert all(finders.find(name) for name in ours)
    assert "<script>" not in body
    assert 'data-schema="/api/v1/openapi.json"' in body
    assert 'href="/api/docs"' in client.get("/").content.decode()


def test_every_operation_has_a_name_of_its_own_and_declares_its_errors(client):
    found = list(operations(client))

    names = [operation["operationId"] for _, _, operation in found]
    assert len(names) == len(set(names)) >= 29
    for path, method, operation in found:
        if path in OPEN:
            continue
        answers = set(operation["responses"])
        assert {"401", "404", "422"} <= answers, path
        assert method == "get" or {"403", "409"} <= answers, path
        # A read takes a key and needs none, but for what only those see who may act; a write needs one.
        is_open = method == "get" and not path.startswith("/api/v1/internal/")
        wanted = [{"KeyHeader": []}, {}] if is_open else [{"KeyHeader": []}]
        assert operation["security"] == wanted, path


def test_the_schema_declares_decimals_as_strings(client):
    schemas = client.get("/api/v1/openapi.json").json()["components"]["schemas"]

    assert schemas["AccountOut"]["properties"]["equity"]["type"] == "string"
    numbers = [
        f"{name}.{field}"
        for name, schema in schemas.items()
        if name.endswith("Out")
        for field, told in schema["properties"].items()
        if told.get("type") == "number"
    ]
    assert numbers == []


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_the_operations_are_drawn_without_breaking_the_policy(browser, live_server):
    page = browser.new_page(base_url=live_server.url)
    complaints, asked = [], []
    page.on("console", lambda said: said.type == "error" and complaints.append(said.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))

    page.goto("/api/docs")
    page.locator(".opblock").first.wait_for()

    assert page.locator(".opblock").count() >= 29
    assert complaints == []
    assert [url for url in asked if not url.startswith((live_server.url, "data:"))] == []
    page.close()
