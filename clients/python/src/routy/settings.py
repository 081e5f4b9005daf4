"""The settings that every node of a fabric has alike."""

from __future__ import annotations

from dataclasses import dataclass

_UNITS = (("h", 3_600_000), ("m", 60_000), ("s", 1_000))


@dataclass(frozen=True)
class Settings:
    """The table `[fabric]` of routy.toml. A difference refuses the session, on both ends."""

    heartbeat_interval_ms: int = 5_000
    heartbeat_misses: int = 3
    resume_time_ms: int = 60_000

    def texts(self) -> dict[str, str]:
        """As HELLO carries them."""
        return {
            "heartbeat_interval": format_duration(self.heartbeat_interval_ms),
            "heartbeat_misses": str(self.heartbeat_misses),
            "resume_time": format_duration(self.resume_time_ms),
        }


def format_duration(ms: int) -> str:
    """In the largest unit that divides it; but 1 m is `60s` and 1 h is `60m`."""
    for name, factor in _UNITS:
        least = 1 if name == "s" else 2
        if ms % factor == 0 and ms // factor >= least:
            return f"{ms // factor}{name}"
    return f"{ms}ms"
