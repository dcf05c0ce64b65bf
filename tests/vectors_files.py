"""All files of vectors; imported, each registers its sources with vectors.SOURCES."""

from __future__ import annotations

import vectors_agreement
import vectors_derivation
import vectors_ec
import vectors_legacy
import vectors_modes
import vectors_openssl
import vectors_rsa
import vectors_rsa_raw
import vectors_symmetric

FILES = (
    vectors_agreement, vectors_derivation, vectors_ec, vectors_legacy, vectors_modes, vectors_openssl,
    vectors_rsa, vectors_rsa_raw, vectors_symmetric,
)
