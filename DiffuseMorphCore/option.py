"""What one option may be: its values, and what is said of others."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from DiffuseMorphCore.errors import OptionError


@dataclass(frozen=True)
class Option:
    """One option.

    help : what it does, without a full stop. choices : the words it may be, if it is a word. lowest, highest : the
    range of a number; None where there is no such bound. automatic : ``"auto"`` may stand for the number. value :
    what help texts call the value. anything : it is checked where it is used; pattern : a regular expression that it
    has to match before, which says what pattern_says. numbers : how many numbers of any kind it
    is made of, two in ascending order; None where it is not given.
    """

    help: str
    choices: tuple[str, ...] = ()
    lowest: int | None = None
    highest: int | None = None
    automatic: bool = False
    value: str = "N"
    anything: bool = False
    pattern: str = ""
    pattern_says: str = ""
    numbers: int = 0

    def check(self, name: str, value: Any) -> None:
        """Raises OptionError, in one sentence, for a value that the option cannot have."""
        if self.anything:
            return
        if self.numbers:
            if value is not None and not self._ascending(value if self.numbers > 1 else (value,)):
                raise OptionError(f"The option {name} is '{value}', but must be {self.range}.")
        elif self.choices:
            if value not in self.choices:
                raise OptionError(f"The option {name} is '{value}', but must be one of {', '.join(self.choices)}.")
        elif self.lowest is None:
            if not isinstance(value, bool):
                raise OptionError(f"The option {name} is '{value}', but must be True or False.")
        elif not (self.automatic and value == "auto") and not self._in_range(value):
            raise OptionError(f"The option {name} is '{value}', but must be {self.range}.")

    def parse(self, text: str) -> str | int:
        """The value that a text from the command line means. Raises ValueError, saying why, for any other text."""
        if self.pattern and not re.fullmatch(self.pattern, text):
            raise ValueError(f"'{text}' is not {self.pattern_says}")
        if self.anything or self.choices or (self.automatic and text == "auto"):
            return text
        try:
            value = int(text)
        except ValueError:
            raise ValueError(f"'{text}' is not a whole number" + (" or 'auto'" if self.automatic else "")) from None
        if not self._in_range(value):
            raise ValueError(
                f"'{text}' is below {self.lowest}" if value < self.lowest else f"'{text}' is above {self.highest}"
            )
        return value

    @property
    def range(self) -> str:
        """The values it may have, in words."""
        if self.numbers == 1 and self.lowest is not None:
            return f"a number from {self.lowest} to {self.highest}"
        if self.numbers:
            return "a finite number" if self.numbers == 1 else "two finite numbers, the lower first"
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        words = "'auto' or " if self.automatic else ""
        upper = "" if self.highest is None else f" to {self.highest}"
        return f"{words}a whole number from {self.lowest}{upper}"

    def _ascending(self, values: Any) -> bool:
        return (
            isinstance(values, (tuple, list))
            and len(values) == self.numbers
            and all(
                isinstance(each, (int, float)) and not isinstance(each, bool) and math.isfinite(each) for each in values
            )
            and all(low < high for low, high in zip(values, values[1:]))
            and (self.lowest is None or self.lowest <= values[0] <= self.highest)
        )

    def _in_range(self, value: Any) -> bool:
        return (
            isinstance(value, int)
            and not isinstance(value, bool)
            and value >= self.lowest
            and (self.highest is None or value <= self.highest)
        )
