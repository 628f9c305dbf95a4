"""Single values as JSON, and back.

What JSON has stands for itself; any other value is an object of one key, which tells its kind.
"""

from __future__ import annotations

import datetime as dt
import math
import re
import zoneinfo
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from neumf.saving.container import short

# Units of numpy that stand for a fixed time.
_UNITS = ("W", "D", "h", "m", "s", "ms", "us", "ns")
# Those that pandas keeps.
PANDAS_UNITS = ("s", "ms", "us", "ns")

# Seconds since 1970, a day from both ends of what Python's datetime can be.
_FIRST = int(dt.datetime(1, 1, 2, tzinfo=dt.UTC).timestamp())
_LAST = int(dt.datetime(9999, 12, 31, tzinfo=dt.UTC).timestamp())

# An integer of 64 bits that numpy takes for "not a time".
NAT = -(2**63)


def encode_scalar(value: Any) -> Any:
    """Return a value as JSON.

    Raises
    ------
    TypeError
        If a file cannot hold it.
    """
    # The exact class: a subclass, such as one of an enum, would come back as something else.
    encode = _ENCODERS.get(type(value))
    if encode is None:
        if isinstance(value, np.bool_ | np.integer | np.floating | np.str_ | np.bytes_):
            plain = value.item()
            if type(plain) in _ENCODERS:
                return encode_scalar(plain)
        raise TypeError
    encoded = encode(value)
    # A zone of one's own, for example, may share its name with another.
    if isinstance(value, dt.date) and decode_scalar(encoded) != value:
        raise TypeError
    return encoded


def decode_scalar(encoded: Any) -> Any:
    """Return the value that JSON stands for.

    Raises
    ------
    ValueError
        If it stands for none.
    """
    if isinstance(encoded, bool | int | str):
        return encoded
    if isinstance(encoded, float):
        if not math.isfinite(encoded):  # such as 1e999
            raise ValueError("it has a number that is too large")
        return encoded
    if not (isinstance(encoded, dict) and len(encoded) == 1 and set(encoded) <= _DECODERS.keys()):
        raise ValueError(f"it has an unknown value, {short(encoded)}")
    (kind,) = encoded
    try:
        return _DECODERS[kind](encoded[kind])
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"it has no {kind} in {short(encoded)}: {short(str(error))}") from error


def _encode_float(value: float) -> Any:
    return value if math.isfinite(value) else {"float": str(value)}


def _decode_float(text: str) -> float:
    if text not in ("nan", "inf", "-inf"):
        raise ValueError(text)
    return float(text)


def encode_time(value: np.datetime64 | np.timedelta64) -> tuple[int, str]:
    """Return a numpy time as a number of a unit.

    Raises
    ------
    TypeError
        If the unit is no fixed time, or the value is missing.
    """
    unit, count = np.datetime_data(value.dtype)
    number = int(value.view(np.int64))
    if unit not in _UNITS or count != 1 or number == NAT:
        raise TypeError
    return number, unit


def _decode_time(kind: Any, units: tuple[str, ...], number: int, unit: str) -> Any:
    """Return a time of numpy's class `kind`."""
    if type(number) is not int or not NAT < number < 2**63 or unit not in units:
        raise ValueError("no number of a unit")
    return kind(number, unit)


def _decode_timedelta(days: int, seconds: int, microseconds: int) -> dt.timedelta:
    return dt.timedelta(_integer(days), _integer(seconds), _integer(microseconds))


def _encode_timestamp(value: pd.Timestamp) -> Any:
    return {"timestamp": [*encode_time(value.asm8), _encode_zone(value.tzinfo)]}


def _decode_timestamp(number: int, unit: str, zone: Any) -> pd.Timestamp:
    moment = _decode_time(np.datetime64, PANDAS_UNITS, number, unit)
    if zone is None:
        return pd.Timestamp(moment)
    # Beyond the years of Python's datetime pandas has no zones, and older ones print errors.
    if not _FIRST < int(moment.astype("datetime64[s]").view(np.int64)) < _LAST:
        raise ValueError("a time with a zone must lie within the years 1 to 9999")
    return pd.Timestamp(moment).tz_localize("UTC").tz_convert(_decode_zone(zone))


def _encode_datetime(value: dt.datetime) -> Any:
    plain = value.replace(tzinfo=None, fold=0).isoformat()
    return {"datetime": [plain, value.fold, _encode_zone(value.tzinfo)]}


def _decode_datetime(text: str, fold: int, zone: Any) -> dt.datetime:
    plain = dt.datetime.fromisoformat(text)
    if plain.tzinfo is not None:
        raise ValueError(text)
    tzinfo = None if zone is None else _decode_zone(zone)
    return plain.replace(tzinfo=tzinfo, fold=_integer(fold))


def _encode_zone(zone: dt.tzinfo | None) -> Any:
    """Return a zone by its name, or by its seconds from UTC."""
    if zone is None:
        return None
    if isinstance(zone, dt.timezone):
        offset = zone.utcoffset(None)
        if offset.microseconds == 0:
            return offset // dt.timedelta(seconds=1)
    # Zones of zoneinfo have a key, those of pytz a zone.
    name = getattr(zone, "key", None) or getattr(zone, "zone", None)
    if name not in _zones():
        raise TypeError
    return name


def _decode_zone(zone: str | int) -> dt.tzinfo:
    if type(zone) is int:
        return dt.timezone(dt.timedelta(seconds=zone)) if zone else dt.UTC
    # Looked up in the list: no file is opened by a name that a file gives.
    if zone not in _zones():
        raise ValueError(f"no time zone {zone!r} on this machine; pip install tzdata may bring it")
    return zoneinfo.ZoneInfo(zone)


@cache
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def _integer(value: Any) -> int:
    if type(value) is not int:
        raise ValueError(f"{value!r} is no integer")
    return value


def _decode_bytes(text: str) -> bytes:
    if not re.fullmatch("([0-9a-f]{2})*", text):
        raise ValueError(text)
    return bytes.fromhex(text)


def _decode_date(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


_ENCODERS: dict[type, Callable[[Any], Any]] = {
    bool: lambda value: value,
    int: lambda value: value,
    str: lambda value: value,
    float: _encode_float,
    bytes: lambda value: {"bytes": value.hex()},
    dt.timedelta: lambda value: {"timedelta": [value.days, value.seconds, value.microseconds]},
    pd.Timedelta: lambda value: {"pandas.Timedelta": encode_time(value.asm8)},
    np.timedelta64: lambda value: {"timedelta64": encode_time(value)},
    dt.date: lambda value: {"date": value.isoformat()},
    dt.datetime: _encode_datetime,
    pd.Timestamp: _encode_timestamp,
}

_DECODERS: dict[str, Callable[[Any], Any]] = {
    "float": _decode_float,
    "bytes": _decode_bytes,
    "timedelta": lambda parts: _decode_timedelta(*parts),
    "pandas.Timedelta": lambda parts: pd.Timedelta(
        _decode_time(np.timedelta64, PANDAS_UNITS, *parts)
    ),
    "timedelta64": lambda parts: _decode_time(np.timedelta64, _UNITS, *parts),
    "date": _decode_date,
    "datetime": lambda parts: _decode_datetime(*parts),
    "timestamp": lambda parts: _decode_timestamp(*parts),
}
