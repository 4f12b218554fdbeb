"""Who decides: providers, models, prompts."""

from __future__ import annotations

import re
import uuid
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

from agents.domain.baselines import BASELINES
from agents.domain.prompts import TemplateText, problems_of_template
from marketdata.fields import EncryptedTextField

# What the arena itself keeps in the environment is no provider's key, and is sent to nobody.
_OWN_VARIABLES = re.compile(
    r"^(SECRET_KEY.*|ARENA_.*|DATABASE_.*|REDIS_.*|BINANCE_.*|TELEGRAM_.*|DISCORD_.*)$"
)


class ProviderKind(models.TextChoices):
    ANTHROPIC = "ANTHROPIC", "Anthropic"
    OPENAI_COMPATIBLE = "OPENAI_COMPATIBLE", "OpenAI or compatible"
    BASELINE = "BASELINE", "Baseline (no model)"
    BOT = "BOT", "Python bot"


class ProviderQuerySet(models.QuerySet["Provider"]):
    """Providers that may be asked."""

    def enabled(self) -> ProviderQuerySet:
        return self.filter(is_enabled=True)


ProviderManager = models.Manager.from_queryset(ProviderQuerySet)


def refuse_own_variable(name: str) -> None:
    """Refuse a variable whose value must not leave the arena.

    Raises:
        ValidationError: If the arena keeps a secret or an address of its own there.
    """
    if _OWN_VARIABLES.match(name):
        raise ValidationError(
            f"wanted the variable of a provider's key, {name} belongs to the arena"
        )


class Provider(models.Model):
    """An API that answers prompts; its key is stored encrypted, or read from the environment variable named here."""

    uuid = models.UUIDField(
        default=uuid.uuid4,
        unique=True,
        editable=False,
        help_text="What the stored key is bound to.",
    )
    slug = models.SlugField(
        max_length=40,
        unique=True,
        help_text="Short name in lower case, for example openai. Records name the provider by it.",
    )
    name = models.CharField(max_length=80, help_text="Name that people read.")
    kind = models.CharField(
        max_length=20,
        choices=ProviderKind.choices,
        help_text="The protocol it speaks; most servers speak OpenAI's. Baselines and bots ask no model.",
    )
    base_url = models.CharField(
        max_length=300,
        blank=True,
        help_text="Address of the API, for example https://api.openai.com/v1; empty for the provider's own.",
    )
    key = EncryptedTextField(bound_to="uuid")
    key_variable = models.CharField(
        max_length=80,
        blank=True,
        validators=[
            RegexValidator(
                r"^[A-Z][A-Z0-9_]*$",
                "the name of an environment variable, for example OPENAI_API_KEY",
            ),
            refuse_own_variable,
        ],
        help_text="Environment variable that holds the key, for example OPENAI_API_KEY; empty when no key is needed. "
        "A key stored here goes before it.",
    )
    capabilities = models.JSONField(
        default=dict,
        blank=True,
        help_text='What requests may carry, for example {"temperature": true, "seed": true, "structured_output": "strict", "token_limit": "max_tokens"}. '
        "Empty for what its kind usually takes.",
    )
    max_concurrency = models.PositiveSmallIntegerField(
        default=128,
        validators=[MinValueValidator(1)],
        help_text="How many calls may wait for an answer at once.",
    )
    is_enabled = models.BooleanField(
        default=True, help_text="Without it the provider is not asked: its agents skip their turns."
    )

    objects = ProviderManager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(kind__in=ProviderKind.values), name="provider_kind_known"
            )
        ]

    def __str__(self) -> str:
        return self.slug

    def clean(self) -> None:
        """Refuse what no request could be made of."""
        if problem := _problem_of_address(self.base_url):
            raise ValidationError({"base_url": problem})
        if not isinstance(self.capabilities, dict):
            raise ValidationError(
                {"capabilities": f"must be a JSON object, was {type(self.capabilities).__name__}"}
            )

    @property
    def is_baseline(self) -> bool:
        return self.kind == ProviderKind.BASELINE


def _problem_of_address(address: str) -> str:
    """Return why an address cannot be a provider's, empty when it can; never a password that stands in it."""
    if not address:
        return ""
    if "@" in address:
        return "must hold no user or password; a key has its own field"
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        return f"must be an address such as https://api.example.org/v1: {error}"
    if parts.scheme not in ("https", "http") or not address.startswith(f"{parts.scheme}://"):
        return f"must start with https:// or http://, was {address[:60]!r}"
    if not host or re.search(r"\s", address):
        return f"must name a host, as in https://api.example.org/v1, was {address[:60]!r}"
    if parts.query or parts.fragment:
        return f"must end with its path, without ? or #, was {address[:60]!r}"
    return ""


class PromptTemplate(models.Model):
    """One version of the texts that agents are sent; never edited once used (``locked_at`` set)."""

    slug = models.SlugField(
        max_length=40, help_text="Short name in lower case; its versions share it."
    )
    version = models.PositiveSmallIntegerField(
        default=1,
        validators=[MinValueValidator(1)],
        help_text="Counts the versions of this name from 1. A used one is never edited: add the next.",
    )
    system = models.TextField(help_text="The rules of the game, the same for every participant.")
    market = models.TextField(
        help_text="The market part: rendered once a round, byte-identical for all."
    )
    account = models.TextField(help_text="The participant's own part.")
    created_at = models.DateTimeField(auto_now_add=True)
    locked_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When a season first used it."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["slug", "version"], name="prompttemplate_one_per_version"
            )
        ]

    def __str__(self) -> str:
        return f"{self.slug} v{self.version}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Store the template, unless its row is locked: seasons have been played with its texts."""
        if self.pk and PromptTemplate.objects.filter(pk=self.pk, locked_at__isnull=False).exists():
            raise ValidationError(f"{self} has been used and cannot be changed, make a new version")
        super().save(*args, **kwargs)

    @property
    def is_locked(self) -> bool:
        return self.locked_at is not None

    def text(self) -> TemplateText:
        """Return the three texts as a value."""
        return TemplateText(self.system, self.market, self.account)

    def clean(self) -> None:
        """Refuse placeholders that could not be filled."""
        if problems := problems_of_template(self.text()):
            raise ValidationError(dict(problems))


class AgentQuerySet(models.QuerySet["Agent"]):
    """Agents by what runs them."""

    def baselines(self) -> AgentQuerySet:
        return self.filter(provider__kind=ProviderKind.BASELINE)


AgentManager = models.Manager.from_queryset(AgentQuerySet)


class Agent(models.Model):
    """A model (or baseline) with its requested parameters and prompt; a competition freezes a copy at its start."""

    slug = models.SlugField(
        max_length=60,
        unique=True,
        help_text="Short name in lower case, for example claude-calm; addresses hold it.",
    )
    name = models.CharField(max_length=80, help_text="Name that spectators read.")
    provider = models.ForeignKey(
        Provider, on_delete=models.PROTECT, related_name="agents", help_text="Who is asked."
    )
    model = models.CharField(
        max_length=120, help_text="The provider's model id, or the baseline's name."
    )
    parameters = models.JSONField(
        default=dict,
        blank=True,
        help_text='As requested, for example {"temperature": "0.7", "max_tokens": 4096, "effort": "medium"}. '
        "What the provider does not take is left out, with a warning.",
    )
    template = models.ForeignKey(
        PromptTemplate,
        on_delete=models.PROTECT,
        related_name="agents",
        help_text="The prompt it is sent.",
    )
    timeout_seconds = models.PositiveSmallIntegerField(
        default=45,
        validators=[MinValueValidator(1), MaxValueValidator(900)],
        help_text="Seconds that one turn may take over all tries, 1 to 900.",
    )
    is_enabled = models.BooleanField(
        default=True, help_text="Without it no competition with this agent can start."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = AgentManager()

    def __str__(self) -> str:
        return self.slug

    def clean(self) -> None:
        """Refuse a baseline that there is none of, and parameters that are no object."""
        if not isinstance(self.parameters, dict):
            raise ValidationError(
                {"parameters": f"must be a JSON object, was {type(self.parameters).__name__}"}
            )
        if self.provider_id and self.provider.is_baseline and self.model not in BASELINES:
            known = ", ".join(BASELINES)
            raise ValidationError({"model": f"must be one of {known}, was {self.model!r}"})
