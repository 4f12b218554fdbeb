"""A button on a list that adds the rows which the arena ships."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path, reverse

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin

    Base = ModelAdmin[Any]
else:
    Base = object


class ShippedDefaults(Base):
    """Mixin for a ModelAdmin, first among the bases: a button adds those shipped rows that are missing and changes none.

    ``defaults_label`` is on the button, ``defaults_permissions`` are all wanted for it, and ``add_defaults`` calls the service.
    """

    change_list_template = "admin/shipped_defaults.html"
    defaults_label: str
    defaults_permissions: tuple[str, ...]

    def add_defaults(self) -> None:
        raise NotImplementedError

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.defaults_view)
        return [path("add-defaults/", view, name=self._defaults_name), *super().get_urls()]

    @property
    def _defaults_name(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_add_defaults"

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = dict(extra_context or {})
        if request.user.has_perms(self.defaults_permissions):
            context["defaults_url"] = reverse(f"admin:{self._defaults_name}")
            context["defaults_label"] = self.defaults_label
        return super().changelist_view(request, context)

    def defaults_view(self, request: HttpRequest) -> HttpResponse:
        if not request.user.has_perms(self.defaults_permissions):
            raise PermissionDenied
        back = redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")
        if request.method != "POST":
            # Somebody came by the address: the button is on the list.
            return back
        rows = self.model._default_manager
        held = set(rows.values_list("pk", flat=True))
        self.add_defaults()
        made = list(rows.exclude(pk__in=held))
        for row in made:
            self.log_addition(request, row, [{"added": {}}])
        names = self.opts.verbose_name_plural
        messages.success(
            request, f"{len(made)} {names} were added; those that were there stay as they are."
        )
        return back
