"""Accounts: a name, a password, one role; nobody picks single permissions."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.contrib.auth.models import Group, User
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponseRedirect
from django.utils import timezone

from competitions.models.roles import Role
from competitions.selectors.roles import held_role, is_administrator
from competitions.services.audit import record_act
from competitions.services.errors import ControlError
from competitions.services.roles import give_role, remove_account, set_active

NO_ROLE = ""
CHOICES = [
    (NO_ROLE, "None: sees what strangers see, and what its own participants are in"),
    *Role.choices,
]


class RoleField(forms.ChoiceField):
    """One role, or none."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            choices=CHOICES,
            required=False,
            widget=forms.RadioSelect,
            help_text="What the account may do. Operators and administrators may open the admin and the console.",
            **kwargs,
        )


class NewUserForm(AdminUserCreationForm):  # type: ignore[type-arg]
    """A new account; its password has at least 12 characters and is never shown again."""

    role = RoleField()

    class Meta:
        model = User
        fields = ("username",)


class UserForm(UserChangeForm):  # type: ignore[type-arg]
    """What can be changed of an account; its password has a page of its own."""

    # Who fills it in; the admin sets it on the form of a request.
    asker: ClassVar[Any] = None
    role = RoleField()
    is_active = forms.BooleanField(
        required=False,
        label="Active",
        help_text="Whether the account may sign in and its API keys open anything. Take this away rather than deleting it: its name "
        "stays readable in the audit log.",
    )

    class Meta:
        model = User
        fields = ("username", "email", "is_active")
        help_texts: ClassVar[dict[str, str]] = {
            "email": "Where to reach the person; may be empty. Nothing is sent there."
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["role"] = held_role(self.instance) or NO_ROLE

    def clean(self) -> dict[str, Any]:
        """Refuse what would shut people out who set things up."""
        cleaned = super().clean() or self.cleaned_data
        was_one = held_role(self.instance) == Role.ADMINISTRATOR
        stays = cleaned.get("role") == Role.ADMINISTRATOR and cleaned.get("is_active")
        if not was_one or stays or "role" not in cleaned:
            return cleaned
        field = "is_active" if cleaned["role"] == Role.ADMINISTRATOR else "role"
        if self.asker is not None and self.asker.pk == self.instance.pk:
            self.add_error(field, "nobody takes this from themselves; ask another administrator")
        return cleaned


class RoleFilter(admin.SimpleListFilter):
    title = "role"
    parameter_name = "role"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(role.value, role.value.capitalize()) for role in Role] + [("none", "None")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        wanted = self.value()
        if wanted is None:
            return queryset
        mighty = Q(is_superuser=True)
        if wanted == "none":
            return queryset.exclude(mighty | Q(groups__name__in=Role.values))
        found = Q(groups__name=wanted)
        if wanted == Role.ADMINISTRATOR:
            return queryset.filter(found | mighty).distinct()
        return queryset.filter(found, is_superuser=False)


admin.site.unregister(Group)
admin.site.unregister(User)


@admin.register(User)
class UserAdmin(DjangoUserAdmin):  # type: ignore[type-arg]
    form = UserForm
    add_form = NewUserForm
    list_display = ("username", "role", "is_active", "last_login", "date_joined")
    list_filter = (RoleFilter, "is_active")
    search_fields = ("username", "email")
    filter_horizontal = ()
    readonly_fields = ("last_login", "date_joined")
    actions = None
    fieldsets = (
        (
            None,
            {
                "fields": ("username", "password", "email"),
                "description": "Who it is; the password is kept as a hash that nobody can read.",
            },
        ),
        (
            "What it may do",
            {
                "fields": ("role", "is_active"),
                "description": "A change counts from the account's next request on.",
            },
        ),
        (
            "Dates",
            {"fields": ("last_login", "date_joined"), "description": "Times are UTC."},
        ),
    )
    add_fieldsets = (
        (
            None,
            {
                "classes": ("wide",),
                "description": "Tell the person name and password; the password has at least 12 characters and is not shown again.",
                "fields": ("username", "usable_password", "password1", "password2"),
            },
        ),
        (
            "What it may do",
            {"fields": ("role",), "description": "It can be changed at any time."},
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related("groups")

    @admin.display(description="role")
    def role(self, row: User) -> str:
        held = held_role(row)
        return held.value if held else "—"

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        return type(form.__name__, (form,), {"asker": request.user})

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_administrator(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_administrator(request.user)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_administrator(request.user)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_administrator(request.user)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody deletes the account they are signed in with, so an administrator is always left."""
        return is_administrator(request.user) and (obj is None or obj.pk != request.user.pk)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Let the services give the role and close the account: they keep an administrator and the audit log."""
        actor, now = request.user.get_username(), timezone.now()
        is_active = obj.is_active
        if change:
            obj.is_active = bool(form.initial.get("is_active"))
        super().save_model(request, obj, form, change)
        if not change:
            record_act("account made", obj.get_username(), actor=actor, now=now)
        if "role" in form.cleaned_data:
            role = form.cleaned_data["role"]
            give_role(obj, Role(role) if role else None, actor=actor, now=now)
            set_active(obj, is_active=is_active, actor=actor, now=now)

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        remove_account(obj, actor=request.user.get_username(), now=timezone.now())

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return _refusing(request, super().changeform_view, *args, **kwargs)

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return _refusing(request, super().delete_view, *args, **kwargs)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> Any:
        answer = super().user_change_password(request, id, form_url)
        if request.method == "POST" and answer.status_code == HTTPStatus.FOUND:
            changed = User.objects.get(pk=id)
            record_act(
                "password set",
                changed.get_username(),
                actor=request.user.get_username(),
                now=timezone.now(),
            )
        return answer


def _refusing(request: HttpRequest, view: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Say what a service refused, and show the page again with nothing of it stored."""
    try:
        return view(request, *args, **kwargs)
    except ControlError as error:
        messages.error(request, f"Nothing was changed: {error}.")
        return HttpResponseRedirect(request.path)
