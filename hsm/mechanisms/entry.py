"""What one mechanism is: its number, what it works with, and a function for each use it serves."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, Self

from hsm.errors import TokenError
from pkcs11_shim import constants as ck

Function = Callable[..., Any]


def no_parameter(parameter: Any) -> None:
    """The check of mechanisms that take no parameter. b"": there was one, of which the library sent no byte."""
    if parameter is not None:
        raise TokenError(ck.CKR_MECHANISM_PARAM_INVALID, "this mechanism takes no parameter")


class Saveable:
    """The state of an operation that C_GetOperationState can save (section 5.6.6): a copy goes on by itself.

    ``moving`` names what changes as input comes, and has a ``copy`` of its own; all else is Init's, and shared. A state
    without ``copy`` can't be saved. Ciphers have none: libcrypto copies none of their contexts.
    """

    __slots__ = ()
    moving: ClassVar[str]

    def copy(self) -> Self:
        other = copy.copy(self)
        setattr(other, self.moving, getattr(self, self.moving).copy())
        return other

    @property
    def held(self) -> int:
        """Bytes of input gathered here, of mechanisms that need all of it at the end."""
        gathered = getattr(self, self.moving)
        return len(gathered) if isinstance(gathered, bytearray) else 0


class InParts(ABC):
    """A signature or MAC whose input comes in parts: all of it at once is one part and the end."""

    __slots__ = ()

    @abstractmethod
    def update(self, data: bytes) -> None:
        """Takes a part up."""

    @abstractmethod
    def finish(self, signature: bytes | None = None) -> bytes:
        """The signature; where one is given, CKR_SIGNATURE_INVALID or CKR_SIGNATURE_LEN_RANGE if it is not right."""

    def one_shot(self, data: bytes, signature: bytes | None = None) -> bytes:
        self.update(data)
        return self.finish(signature)


class OnePart:
    """An operation that has no parts: a mechanism marked «single-part operations only» in the standard."""

    __slots__ = ()
    multipart = False
    held = 0

    def copy(self) -> Self:
        """Its state is what Init made, and takes nothing up before it ends."""
        return self


class Mechanism(NamedTuple):
    """One mechanism: what it works with, and a function for each use it serves. Sizes are CK_MECHANISM_INFO's."""

    number: int
    key_types: tuple[int, ...] = ()
    min_size: int = 0
    max_size: int = 0
    extra_flags: int = 0
    parameter: Callable[[Any], Any] = no_parameter
    sign: Function | None = None
    verify: Function | None = None
    sign_recover: Function | None = None
    verify_recover: Function | None = None
    encrypt: Function | None = None
    decrypt: Function | None = None
    digest: Function | None = None
    generate: Function | None = None
    generate_pair: Function | None = None
    message_encrypt: Function | None = None
    message_decrypt: Function | None = None
    wrap: Function | None = None
    unwrap: Function | None = None
    derive: Function | None = None
    authenticated: bool = False  # unwrapping notices an altered wrapped key
    keystream: bool = False  # whoever may encrypt blocks under the key can undo this, and make it up
    halves: bool = False  # wraps a key of the moment, and the target under that one beside it
    agreement: bool = False  # derives from another party's public key: both know the result
    raw: bool = False  # of RSA: who signs by it decrypts, and the other way round
    most_bits: Callable[[Any], int] | None = None  # of security that its parameter lets a derived key have
    told: bool = False  # makes a key out of what the caller gives, a password
    makes: int = ck.CKO_SECRET_KEY  # the class of what it derives
    inherits: bool = False  # CKA_SENSITIVE and CKA_EXTRACTABLE of what it derives are the base's where not given
    other_keys: Callable[[Any], tuple[int, ...]] | None = None  # handles of further keys that go into a derivation
    nonce: Callable[[Any], bytes] | None = None  # what of its parameter may serve a key for one encryption only
    oracle: tuple[str, ...] = ()  # uses that help to have chosen blocks encrypted, though none is called encrypting
    legacy: bool = False  # offered where the partition's switch for what is no longer safe is on

    @property
    def info_flags(self) -> int:
        """CK_MECHANISM_INFO.flags, from the functions that are there."""
        return self.extra_flags | sum(bit for use, bit in FLAGS.items() if getattr(self, use) is not None)


FLAGS = {
    "sign": ck.CKF_SIGN, "verify": ck.CKF_VERIFY, "sign_recover": ck.CKF_SIGN_RECOVER,
    "verify_recover": ck.CKF_VERIFY_RECOVER, "encrypt": ck.CKF_ENCRYPT, "decrypt": ck.CKF_DECRYPT,
    "digest": ck.CKF_DIGEST, "generate": ck.CKF_GENERATE, "generate_pair": ck.CKF_GENERATE_KEY_PAIR,
    "message_encrypt": ck.CKF_MESSAGE_ENCRYPT, "message_decrypt": ck.CKF_MESSAGE_DECRYPT,
    "wrap": ck.CKF_WRAP, "unwrap": ck.CKF_UNWRAP, "derive": ck.CKF_DERIVE,
}
