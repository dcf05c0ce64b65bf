"""AES with authentication: GCM, CCM and GMAC (PKCS#11 3.2, section 6.13)."""

from __future__ import annotations

from functools import partial
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import AEADEncryptionContext, Cipher, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM

from hsm.errors import TokenError
from hsm.mechanisms.aes import BLOCK, SIZES, algorithm
from hsm.mechanisms.block import out_of_range
from hsm.mechanisms.entry import Mechanism
from hsm.mechanisms.gathered import Gathered
from hsm.mechanisms.mac import Mac
from hsm.mechanisms.wrapping import both_ways
from hsm.objects.key import Key
from pkcs11_shim import constants as ck

SHORTEST_IV, LONGEST_IV = 8, 128
TAGS = range(4, 17)
CCM_NONCES, CCM_TAGS = range(7, 14), range(4, 17, 2)
# With a key that is a secret: shorter ones give the tag or the IV's uniqueness away (NIST SP 800-38D, 5.2.1).
SAFE_IV, SAFE_TAG = 12, 12
LONGEST = 64 << 20


def _may_seal(key: Key, iv: bytes, tag: int) -> None:
    if key.flag(ck.CKA_SENSITIVE) and (len(iv) < SAFE_IV or tag < SAFE_TAG):
        words = "with a sensitive key the IV or nonce has 12 bytes or more and the tag 96 bits or more"
        raise TokenError(ck.CKR_MECHANISM_PARAM_INVALID, words)


class Gcm(Gathered):
    """GCM. Input is gathered: no plaintext leaves before the tag is known to be good."""

    __slots__ = ("_aad", "_iv", "_tag")

    def __init__(self, key: Key, parameter: tuple[bytes, bytes, int], encrypting: bool) -> None:
        super().__init__(key, encrypting, LONGEST)
        self._iv, self._aad, self._tag = parameter
        _may_seal(key, self._iv, self._tag)

    def bound(self, length: int) -> int:
        total = len(self.data) + length
        return total + self._tag if self.encrypting else max(total - self._tag, 0)

    def finish(self) -> bytes:
        if self.encrypting:
            sealed = self.key.native(_gcm).encrypt(self._iv, bytes(self.data), self._aad)
            return sealed if self._tag == BLOCK else sealed[: len(sealed) - BLOCK + self._tag]
        if len(self.data) < self._tag:
            raise TokenError(ck.CKR_ENCRYPTED_DATA_LEN_RANGE, "shorter than the tag")
        text, tag = bytes(self.data[: -self._tag]), bytes(self.data[-self._tag :])
        mode = modes.GCM(self._iv, tag, min_tag_length=self._tag)
        opened = Cipher(self.key.native(algorithm), mode).decryptor()
        opened.authenticate_additional_data(self._aad)
        try:
            return opened.update(text) + opened.finalize()
        except InvalidTag:
            raise TokenError(ck.CKR_ENCRYPTED_DATA_INVALID, "the tag does not match") from None


def _gcm(key: Key) -> AESGCM:
    return AESGCM(key.get(ck.CKA_VALUE) or b"")


class Ccm(Gathered):
    """CCM (RFC 3610). How long the message is was said at Init; ``wanted`` None: a key, which says it itself."""

    __slots__ = ("_aad", "_nonce", "_tag", "_wanted")

    def __init__(self, key: Key, parameter: Any, encrypting: bool, *, wraps: bool = False) -> None:
        self._nonce, self._aad, self._tag = parameter.pNonce, parameter.pAAD or b"", parameter.ulMACLen
        self._wanted = None if wraps else parameter.ulDataLen
        # The length has as many bytes as the nonce leaves it (RFC 3610, section 2).
        most = min(LONGEST, (1 << 8 * (BLOCK - 1 - len(self._nonce))) - 1)
        if self._wanted is not None and self._wanted > most:
            words = f"with a nonce of {len(self._nonce)} bytes CCM takes messages of up to {most} bytes here"
            raise TokenError(ck.CKR_MECHANISM_PARAM_INVALID, words, "ulDataLen")
        longest = most if self._wanted is None else self._wanted
        super().__init__(key, encrypting, longest if encrypting else longest + self._tag)
        _may_seal(key, self._nonce, self._tag)

    def bound(self, length: int) -> int:
        total = len(self.data) + length
        return int(total + self._tag) if self.encrypting else max(total - self._tag, 0)

    def finish(self) -> bytes:
        given = bytes(self.data)
        least = (self._wanted or 0) + (0 if self.encrypting else self._tag)
        if len(given) < least:
            words = "ulDataLen said that more would come" if self._wanted else "shorter than the MAC"
            raise out_of_range(self.encrypting, words)
        cipher = AESCCM(self.key.get(ck.CKA_VALUE) or b"", self._tag)
        if self.encrypting:
            return cipher.encrypt(self._nonce, given, self._aad)
        try:
            return cipher.decrypt(self._nonce, given, self._aad)
        except InvalidTag:
            raise TokenError(ck.CKR_ENCRYPTED_DATA_INVALID, "the MAC does not match") from None


class Gmac(Mac):
    """GMAC: GCM's tag over data that nothing is encrypted beside (NIST SP 800-38D, section 3)."""

    __slots__ = ("_state",)

    def __init__(self, key: Key, parameter: tuple[bytes, bytes, int]) -> None:
        iv, aad, tag = parameter
        if aad:
            raise TokenError(ck.CKR_MECHANISM_PARAM_INVALID, "the data to sign are GMAC's additional data", "pAAD")
        _may_seal(key, iv, tag)
        super().__init__(tag)
        state: AEADEncryptionContext = Cipher(key.native(algorithm), modes.GCM(iv)).encryptor()
        self._state = state

    def update(self, data: bytes) -> None:
        self._state.authenticate_additional_data(data)

    def whole(self) -> bytes:
        self._state.finalize()
        return self._state.tag


def _gcm_parameter(parameter: Any) -> tuple[bytes, bytes, int]:
    """CK_GCM_PARAMS: IV, additional data and the tag's length in bytes."""
    iv = getattr(parameter, "pIv", None)
    return _gcm_form(iv, parameter.pAAD if iv else None, parameter.ulTagBits if iv else 0)


def _gcm_form(iv: bytes | None, aad: bytes | None, tag: int) -> tuple[bytes, bytes, int]:
    if not iv or not SHORTEST_IV <= len(iv) <= LONGEST_IV:
        raise TokenError(ck.CKR_MECHANISM_PARAM_INVALID, f"the IV has {SHORTEST_IV} to {LONGEST_IV} bytes")
    if tag % 8 or tag // 8 not in TAGS:
        raise TokenError(ck.CKR_MECHANISM_PARAM_INVALID, "the tag has 32 to 128 bits, in whole bytes")
    return iv, aad or b"", tag // 8


def _gcm_message(key: Key, message: Any, aad: bytes | None, encrypting: bool) -> Gcm:
    """One message of many under one key. ``message``: its IV and the length of its tag, in bits."""
    return Gcm(key, _gcm_form(message.iv, aad, message.tag_bits), encrypting)


def _gmac_parameter(parameter: Any) -> tuple[bytes, bytes, int]:
    """CK_GCM_PARAMS; or an IV of 12 bytes for a tag of 16, all that versions 2.40 and 3.0 had."""
    if isinstance(parameter, bytes) and len(parameter) == SAFE_IV:
        return parameter, b"", BLOCK
    return _gcm_parameter(parameter)


def _ccm_parameter(parameter: Any) -> Any:
    """CK_CCM_PARAMS."""
    if len(getattr(parameter, "pNonce", None) or b"") not in CCM_NONCES:
        raise TokenError(ck.CKR_MECHANISM_PARAM_INVALID, "the nonce has 7 to 13 bytes", "ulNonceLen")
    if parameter.ulMACLen not in CCM_TAGS:
        raise TokenError(ck.CKR_MECHANISM_PARAM_INVALID, "the MAC has 4, 6, 8, 10, 12, 14 or 16 bytes", "ulMACLen")
    return parameter


_CCM_OF_KEYS = both_ways(partial(Ccm, wraps=True))
MECHANISMS = [
    Mechanism(
        ck.CKM_AES_GCM, *SIZES, parameter=_gcm_parameter, authenticated=True, keystream=True,
        nonce=lambda parameter: bytes(parameter[0]), message_encrypt=partial(_gcm_message, encrypting=True),
        message_decrypt=partial(_gcm_message, encrypting=False), **both_ways(Gcm),
    ),
    Mechanism(
        ck.CKM_AES_CCM, *SIZES, parameter=_ccm_parameter, authenticated=True, keystream=True,
        nonce=lambda parameter: b"CCM" + parameter.pNonce,
        # ulDataLen is ignored for keys (section 6.13.5).
        **{**both_ways(Ccm), "wrap": _CCM_OF_KEYS["wrap"], "unwrap": _CCM_OF_KEYS["unwrap"]},
    ),
    # The tag over no data is a block encrypted; one nonce serves a key once, be it for GCM or here.
    Mechanism(
        ck.CKM_AES_GMAC, *SIZES, parameter=_gmac_parameter, nonce=lambda parameter: bytes(parameter[0]),
        oracle=("sign",), sign=Gmac, verify=Gmac,
    ),
]
