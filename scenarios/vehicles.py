"""Vehicle and pedestrian types, calibrated to the saturation flow of the KHCM.

`scenarios.calibration` measures the discharge, tests/verification/test_saturation_flow.py holds it
to the formula.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class VehicleType:
    """A SUMO vehicle type (Krauss model).

    Attributes:
        vclass: SUMO vehicle class.
        length_m: Bumper to bumper.
        min_gap_m: Gap to a standing leader.
        tau_s: Desired time headway; below the 1 s step SUMO could not guarantee safety.
        accel_mps2: Greatest acceleration.
        decel_mps2: Comfortable braking.
        sigma: Driver imperfection, 0 to 1.
        speed_factor: Mean and standard deviation of desired speed / limit.
        shape: Picture in the GUI.
    """

    vclass: str
    length_m: float
    min_gap_m: float
    tau_s: float
    accel_mps2: float
    decel_mps2: float
    sigma: float
    speed_factor: tuple[float, float]
    shape: str

    def xml(self, name: str, persons: float = 1.0) -> str:
        """The vType element; `persons` is the mean number of people in one vehicle."""
        return (
            f'<vType id="{name}" vClass="{self.vclass}" length="{self.length_m:g}"'
            f' minGap="{self.min_gap_m:g}" tau="{self.tau_s:g}" accel="{self.accel_mps2:g}"'
            f' decel="{self.decel_mps2:g}" sigma="{self.sigma:g}" speedDev="0"'
            f' guiShape="{self.shape}"><param key="persons" value="{persons:g}"/></vType>'
        )


SPEED_FACTOR_BOUNDS: Final = (0.85, 1.15)

VEHICLE_TYPES: Final[dict[str, VehicleType]] = {
    "car": VehicleType("passenger", 4.7, 2.0, 1.0, 2.6, 4.5, 0.2, (1.0, 0.06), "passenger/sedan"),
    "taxi": VehicleType("taxi", 4.9, 2.0, 1.0, 2.6, 4.5, 0.2, (1.0, 0.06), "passenger/sedan"),
    "truck": VehicleType("truck", 8.5, 2.5, 1.9, 1.5, 4.0, 0.2, (0.95, 0.05), "truck"),
    "bus": VehicleType("bus", 11.0, 2.5, 1.8, 1.3, 4.0, 0.2, (0.95, 0.05), "bus"),
}
"""Types of the demand, by the names of the site file's `mix`."""

PEDESTRIAN_TYPE: Final = (
    '<vType id="pedestrian" vClass="pedestrian" width="0.5" length="0.3"'
    ' desiredMaxSpeed="1.3" speedFactor="normc(1,0.12,0.75,1.4)"/>'
)
"""Mean 1.3 m/s, the slowest 1.0 m/s: nobody is slower than the clearance time assumes."""
