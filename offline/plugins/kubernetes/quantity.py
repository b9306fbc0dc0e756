"""Quantities as the API server writes them: "1000m" is "1", "1024Mi" is "1Gi", 0.5 is "500m"."""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .objects import Object

_SHAPE = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]|[eE][+-]?\d+)?")
_KI = 1024
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
# Every field that holds a map of quantities, or one.
_MAPS = frozenset(
    {
        "limits",
        "requests",
        "hard",
        "capacity",
        "allocatable",
        "default",
        "defaultRequest",
        "max",
        "min",
        "maxLimitRequestRatio",
        "overhead",
        "podFixed",
    }
)
_SINGLE = frozenset({"sizeLimit", "divisor"})
# A quantity has at most nine decimal places; what is finer is rounded up.
_FINEST = Decimal(1).scaleb(-9)


def canonical(value: Any) -> Any:
    """Give a quantity as the API server would give it back; anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return value
    found = _SHAPE.fullmatch(str(value).strip())
    if not found:
        return value
    number, suffix = Decimal(found[1]), found[2] or ""
    if suffix.endswith("i"):
        amount = number * _KI ** _BINARY.index(suffix)
        whole = amount == amount.to_integral_value()
        return _binary(int(amount)) if whole and abs(amount) >= _KI else _decimal(amount)
    if suffix[:1] in ("e", "E") and len(suffix) > 1:
        return _exponent(number.scaleb(int(suffix[1:])))
    return _decimal(number.scaleb(_DECIMAL[suffix]))


def _binary(amount: int) -> str:
    power = 0
    while amount and amount % _KI == 0 and power < len(_BINARY) - 1:
        amount //= _KI
        power += 1
    return f"{amount}{_BINARY[power]}"


def _decimal(amount: Decimal) -> str:
    digits, exponent = _stripped(amount)
    suffixes = {power: suffix for suffix, power in _DECIMAL.items()}
    return f"{digits}{suffixes[exponent]}"


def _exponent(amount: Decimal) -> str:
    digits, exponent = _stripped(amount)
    return f"{digits}e{exponent}" if exponent else str(digits)


def _stripped(amount: Decimal) -> tuple[int, int]:
    """Give (digits, exponent) with an exponent that is a multiple of three, as large as it can be."""
    amount = amount.quantize(_FINEST, rounding=ROUND_CEILING)
    digits, exponent = int(amount.scaleb(9)), -9
    while digits and digits % 1000 == 0 and exponent < max(_DECIMAL.values()):
        digits //= 1000
        exponent += 3
    return digits, exponent if digits else 0


def rewrite(obj: Object) -> Object:
    """Copy a built-in kind's object with its quantities in their canonical form."""
    return {key: value if key == "metadata" else _rewrite(key, value) for key, value in obj.items()}


def _rewrite(key: str, value: Any) -> Any:
    if key in _SINGLE:
        return canonical(value)
    if isinstance(value, dict):
        if key in _MAPS and not any(isinstance(item, dict | list) for item in value.values()):
            return {name: canonical(item) for name, item in value.items()}
        return {name: _rewrite(name, item) for name, item in value.items()}
    if isinstance(value, list):
        return [_rewrite("", item) for item in value]
    return value
