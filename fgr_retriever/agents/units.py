"""Units of measurement: what each measures, and its size."""

from __future__ import annotations

# What is measured, then the names of each unit with its size.
_UNITS: dict[str, dict[str, float]] = {
    "time": {
        "second sec s": 1,
        "minute min": 60,
        "hour hr h": 3600,
        "day": 86400,
        "week": 604800,
        "fortnight": 1209600,
    },
    "months": {"month": 1, "year yr": 12, "decade": 120, "century centurie": 1200},
    "length": {
        "millimetre millimeter mm": 0.001,
        "centimetre centimeter cm": 0.01,
        "metre meter m": 1,
        "kilometre kilometer km": 1000,
        "mile": 1609.344,
        "inch inche": 0.0254,
        "foot feet": 0.3048,
    },
    "mass": {"milligram mg": 0.001, "gram g": 1, "kilogram kilo kg": 1000, "tonne ton": 1e6},
    "volume": {"millilitre milliliter ml": 0.001, "litre liter l": 1},
    "data": {"byte": 1, "kilobyte kb": 1e3, "megabyte mb": 1e6, "gigabyte gb": 1e9, "terabyte tb": 1e12},
    "power": {"watt w": 1, "kilowatt kw": 1e3, "megawatt mw": 1e6},
    "degrees": {"degree ° °c celsius": 1},
    "fahrenheit": {"°f": 1},
    "share": {"percent %": 0.01, "‰": 0.001},
    "euros": {"euro eur €": 1},
    "dollars": {"dollar usd $": 1},
    "pounds": {"pound gbp £": 1},
    "pressure": {"mmhg": 1},
    "times": {"time": 1},
}
CURRENCIES = frozenset(("euros", "dollars", "pounds"))
"""What amounts of money measure."""

UNIT_OF = {
    name: (measured, size)
    for measured, units in _UNITS.items()
    for names, size in units.items()
    for name in names.split()
}
"""For each name of a unit: what it measures, and its size in the base unit of that."""
