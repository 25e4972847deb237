"""Durations for people."""


def readable_duration(milliseconds: int) -> str:
    """A duration by its two greatest units: 350 ms, 1.2 s, 3 min 05 s."""
    seconds = milliseconds // 1000
    if seconds < 60:
        return f"{milliseconds} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    if minutes < 60:
        return f"{minutes} min {seconds % 60:02d} s"
    return f"{hours} h {minutes % 60:02d} min" if hours < 24 else f"{days} d {hours % 24} h"
