"""Counters of energy as Linux shows them, in a folder of their own."""

from pathlib import Path


def write_counter(powercap: Path, folder: str, name: str, microjoules: int, largest: int = 262_143_328_850) -> Path:
    place = powercap / folder
    place.mkdir(parents=True, exist_ok=True)
    (place / "name").write_text(f"{name}\n")
    (place / "energy_uj").write_text(f"{microjoules}\n")
    (place / "max_energy_range_uj").write_text(f"{largest}\n")
    return place
