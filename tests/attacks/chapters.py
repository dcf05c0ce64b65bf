"""All attacks, in the order in which the page tells them: importing a chapter registers what is in it."""

from attacks import (
    attributes,
    derivation,
    equals,
    laundering,
    logins,
    made_ivs,
    officers,
    oracles,
    sessions,
    trojans,
    wrapping,
)

CHAPTERS = (
    wrapping, trojans, laundering, attributes, derivation, equals, oracles, made_ivs, sessions, logins, officers,
)
