"""The token engine: keys live here, and only here."""

__version__ = "0.1.0"
