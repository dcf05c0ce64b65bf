"""Where PINs come from: a file, an open descriptor, the environment, the terminal. Never from a command's arguments."""

from __future__ import annotations

import os
import sys
from typing import NamedTuple

from hsm.cli.command import Failure


class Source(NamedTuple):
    """Of one PIN: what it is called, the options that were given for it, and its variable."""

    what: str
    option: str
    file: str | None
    variable: str
    fd: int | None = None

    @property
    def named(self) -> bool:
        """Whether the command line says where it is."""
        return self.file is not None or self.fd is not None

    def read(self, *, twice: bool = False) -> str:
        """``twice``: at a terminal it is asked for once more, since nobody knows it yet."""
        pin = self._read(twice)
        try:
            pin.encode()
        except UnicodeEncodeError:  # bytes of the environment that are no text
            raise Failure(f"a PIN is text, and the {self.what} is none; nothing was changed") from None
        return pin

    def _read(self, twice: bool) -> str:
        if self.file is not None and self.fd is not None:
            raise Failure(f"the {self.what} comes from one place: give {self.option}-file or {self.option}-fd")
        if self.file is not None:
            return self._first_line(self.file, self.file)
        if self.fd is not None:
            return self._first_line(self.fd, f"descriptor {self.fd}")
        if os.environ.get(self.variable):
            return os.environ[self.variable]
        if not sys.stdin.isatty():
            words = f"no {self.what} was given: set {self.variable}, name its file by {self.option}-file"
            raise Failure(f"{words}, or use a terminal")
        import getpass

        try:
            given = getpass.getpass(f"{self.what}: ")
            if twice and getpass.getpass(f"{self.what}, once more: ") != given:
                raise Failure("the two differ; nothing was changed")
        except EOFError:
            raise Failure(f"no {self.what} was typed; nothing was changed") from None
        return given

    def _first_line(self, place: str | int, name: str) -> str:
        try:
            with open(place, encoding="utf-8") as lines:
                return lines.readline(4096).rstrip("\r\n")
        except OSError as fault:
            raise Failure(f"the {self.what} can't be read: {name}: {fault.strerror}") from None
        except UnicodeDecodeError:
            raise Failure(f"the {self.what} can't be read: {name} is not a text file") from None
        except (ValueError, TypeError, OverflowError):  # a number that no descriptor has
            raise Failure(f"the {self.what} can't be read: there is no {name}") from None
