"""CheckReport: what `check` found, for a terminal and a notebook."""

from collections.abc import Sequence
from dataclasses import dataclass

from ftkit.lang import say
from ftkit.rules import LEVELS, Finding
from ftkit.tables import escaped

SHOWN = 5
"""Places shown of each rule before the rest is only counted."""

PLURAL = {"error": "errors", "warning": "warnings", "advice": "pieces of advice"}
COLOUR = {"error": "#d9534f", "warning": "#d08a1e", "advice": "#4a90c2"}
"""Legible on white and on black."""


@dataclass(frozen=True)
class CheckReport:
    """The findings about some data. Made by `check`."""

    name: str
    """The files or the data set."""
    rows: int
    """Rows that could be read."""
    findings: tuple[Finding, ...]
    """Errors first; those of one rule together."""

    @property
    def ok(self) -> bool:
        """Whether there is no error."""
        return not self.errors

    @property
    def errors(self) -> tuple[Finding, ...]:
        return self._at("error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        return self._at("warning")

    @property
    def advice(self) -> tuple[Finding, ...]:
        return self._at("advice")

    def _at(self, level: str) -> tuple[Finding, ...]:
        return tuple(one for one in self.findings if one.level == level)

    @property
    def headline(self) -> str:
        counts = [(level, len(self._at(level))) for level in LEVELS]
        said = [f"{n:,} {say(level if n == 1 else PLURAL[level])}" for level, n in counts if n]
        found = ", ".join(said) or say("nothing found")
        return say("{name}, {rows:,} rows: {found}").format(name=self.name, rows=self.rows, found=found)

    def by_rule(self) -> dict[str, Sequence[Finding]]:
        """Rule → its findings."""
        groups: dict[str, list[Finding]] = {}
        for one in self.findings:
            groups.setdefault(one.rule, []).append(one)
        return groups

    def __str__(self) -> str:
        lines = [self.headline]
        for rule, found in self.by_rule().items():
            lines += ["", f"{say(found[0].level)}: {rule} ({len(found):,}): {found[0].why}"]
            lines += [f"  {one}" for one in found[:SHOWN]]
            lines += ["  " + say("and {n:,} more").format(n=len(found) - SHOWN)] if len(found) > SHOWN else []
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = []
        for rule, found in self.by_rule().items():
            level = found[0].level
            places = [f"<code>{escaped(one.where)}</code> {escaped(one.sentence)}" for one in found[:SHOWN]]
            places += [say("and {n:,} more").format(n=len(found) - SHOWN)] if len(found) > SHOWN else []
            rows.append(
                f"<tr style='background:none'><td style='border-left:4px solid {COLOUR[level]};text-align:left;vertical-align:top'>"
                f"<b>{say(level)}</b><br>{escaped(rule)}</td>"
                f"<td style='text-align:left'>{'<br>'.join(places)}<br><i>{say('Why:')} {escaped(found[0].why)}.</i></td></tr>"
            )
        caption = f"<caption style='text-align:left'>{escaped(self.headline)}</caption>"
        return f"<table>{caption}<tbody>{''.join(rows)}</tbody></table>"
