"""What a hand touches: controls made from a Spec, and the panel of a notebook."""

from widgets.panel import LivePanel

__all__ = ["LivePanel"]
