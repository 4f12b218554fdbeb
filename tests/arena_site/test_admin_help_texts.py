"""Every field that can be filled in tells in plain words what it is for."""

from __future__ import annotations

import re
import uuid

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db.models import UUIDField
from django.test import RequestFactory

# The apps whose forms are walked.
APPS = ["marketdata", "trading", "agents", "competitions", "auth"]
SENTENCE = re.compile(r"^\S+( \S+)+")

pytestmark = pytest.mark.django_db


@pytest.fixture
def request_of_an_administrator():
    request = RequestFactory().get("/admin/")
    request.user = get_user_model().objects.create_superuser("root")
    return request


def editable_admins(request):
    """Yield the registered admins whose rows can be added or changed."""
    for model, page in admin.site._registry.items():
        if model._meta.app_label not in APPS:
            continue
        if page.has_add_permission(request) or page.has_change_permission(request):
            yield page


def forms_of(page, request):
    """Yield the add form, the change form and the forms of inlines, each with its name."""
    # Read-only fields of a change form may ask for rows that point at its own.
    key = uuid.uuid4() if isinstance(page.model._meta.pk, UUIDField) else 1
    for obj in (None, page.model(pk=key)):
        yield page.model.__name__, page.get_form(request, obj, change=obj is not None)
        for inline in page.get_inline_instances(request, obj):
            if inline.has_add_permission(request, obj) or inline.has_change_permission(
                request, obj
            ):
                name = f"{page.model.__name__} > {inline.model.__name__}"
                yield name, inline.get_formset(request, obj).form


def test_every_editable_field_has_a_help_text(request_of_an_administrator):
    missing, walked = set(), set()
    for page in editable_admins(request_of_an_administrator):
        for name, form in forms_of(page, request_of_an_administrator):
            for field_name, field in form.base_fields.items():
                if field.widget.is_hidden:
                    continue
                walked.add(f"{name}.{field_name}")
                if not SENTENCE.match(str(field.help_text)):
                    missing.add(f"{name}.{field_name}")

    assert len(walked) > 30, "the walk found hardly any field"
    assert sorted(missing) == []


def test_every_part_of_a_form_begins_with_a_sentence(request_of_an_administrator):
    silent = [
        f"{page.model.__name__}: {title or 'first part'}"
        for page in editable_admins(request_of_an_administrator)
        for title, options in page.get_fieldsets(request_of_an_administrator)
        if not SENTENCE.match(options.get("description", ""))
    ]

    assert silent == []
