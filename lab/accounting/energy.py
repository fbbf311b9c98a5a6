"""Energy and CO2 of a run: an estimate whose every factor is shown, so that it can be doubted."""
from __future__ import annotations

from typing import Any

from lab.accounting.counts import Counts
from lab.accounting.devices import GPUS, Device

GRIDS = ((0.4, "the world's mean"), (0.02, "hydropower"), (0.9, "coal"))  # kg of CO2 a kWh, of recent years
GRID = GRIDS[0][0]
USED = 0.35  # share of a device's printed speed that training reaches
OVERHEAD = 1.2  # cooling and conversion, of a good data centre


def estimated_seconds(counts: Counts, moves_base: bool, tokens: int, steps: int, device: Device, checkpointing: bool = False) -> float:
    """A pass forward costs two operations a weight and token, the way back two more, and two more again where the weight itself is trained.

    `tokens` are those of one step, batch and virtual ones included.
    """
    operations = 4 * counts.total + 2 * (counts.total if moves_base else counts.trainable) + (2 * counts.total if checkpointing else 0)
    return operations * tokens * steps / (device.teraflops * 1e12 * USED)


def energy(seconds: float, device: Device, grid: float = GRID) -> dict[str, Any]:
    """{"seconds", "watts", "kilowatt_hours", "kilograms", "assumptions"} of a run of that length."""
    kilowatt_hours = device.watts * OVERHEAD * seconds / 3.6e6
    name = f"The {device.key}" if device.key in ("cpu", *(gpu.key for gpu in GPUS)) else "Your GPU, taken for one"
    return {"seconds": seconds, "watts": device.watts, "kilowatt_hours": kilowatt_hours, "kilograms": kilowatt_hours * grid, "assumptions": [
        f"{name} at {device.watts} W, its full power, all the time, and {OVERHEAD:g} times that with cooling.",
        f"{grid:g} kg of CO2 for a kilowatt hour; hydropower has 0.02, coal 0.9.",
        f"Where no run was timed: 2 operations a weight and token forward, 2 back, 2 more for weights that train, at {USED:.0%} of "
        f"{device.teraflops:g} teraflops.",
    ]}
