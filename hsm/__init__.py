"""The token engine: keys live here, and only here."""

__version__ = "0.2.0"
