"""Every reason for a refusal is explained where the reasons are listed."""

from __future__ import annotations

import re
from pathlib import Path

from trading.domain.denials import DenialCode

ACCOUNTING = Path(__file__).parents[2] / "docs" / "accounting.md"


def test_every_denial_code_has_its_row_and_every_row_a_code():
    section = ACCOUNTING.read_text().split("\n## Refusals\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`[A-Z_`, ]+`) \|", section, re.MULTILINE)
    listed = [code for row in rows for code in re.findall(r"[A-Z_]+", row)]
    assert sorted(listed) == sorted(code.value for code in DenialCode)
