"""Block ciphers' modes put together from single blocks, as their own documents write them: NIST SP 800-38A to 38F.

The engine has each mode from libcrypto. Here only single blocks come from there, and for ECB not even those: AES itself
is FIPS 197 in a few lines. Slow, and not for secrets.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

Block = Callable[[bytes], bytes]


def xor(one: bytes, two: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, two, strict=False))


def split(data: bytes, size: int = 16) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


# -- FIPS 197


def _times(a: int, b: int) -> int:
    """In GF(2^8), section 4.2."""
    product = 0
    while b:
        product ^= a if b & 1 else 0
        a = a << 1 ^ (0x11B if a & 0x80 else 0)
        b >>= 1
    return product


@cache
def _boxes() -> tuple[bytes, bytes]:
    """The S-box of section 5.1.1, and its inverse."""
    box = bytearray(256)
    for value in range(256):
        inverse = next((other for other in range(256) if _times(value, other) == 1), 0)
        turned = [(inverse << by | inverse >> 8 - by) & 0xFF for by in range(5)]
        box[value] = 0x63 ^ turned[0] ^ turned[1] ^ turned[2] ^ turned[3] ^ turned[4]
    return bytes(box), bytes(box.index(value) for value in range(256))


@cache
def _round_keys(key: bytes) -> list[bytes]:
    words, count, constant = split(key, 4), len(key) // 4, 1
    while len(words) < 4 * (count + 7):
        word = words[-1]
        if len(words) % count == 0:
            word = bytes(_boxes()[0][b] for b in word[1:] + word[:1])
            word, constant = bytes([word[0] ^ constant]) + word[1:], _times(constant, 2)
        elif count > 6 and len(words) % count == 4:
            word = bytes(_boxes()[0][b] for b in word)
        words.append(xor(word, words[-count]))
    return [b"".join(four) for four in (words[at : at + 4] for at in range(0, len(words), 4))]


@cache
def _products(by: int) -> bytes:
    return bytes(_times(value, by) for value in range(256))


def _mixed(state: bytes, factors: tuple[int, ...]) -> bytes:
    tables = [_products(factor) for factor in factors]
    mixed = bytearray()
    for column in split(state, 4):
        for row in range(4):
            a, b, c, d = (tables[i][column[(row + i) % 4]] for i in range(4))
            mixed.append(a ^ b ^ c ^ d)
    return bytes(mixed)


def _shifted(state: bytes, by: int) -> bytes:
    return bytes(state[(at + by * 4 * (at % 4)) % 16] for at in range(16))


def aes_of_fips_197(key: bytes) -> tuple[Block, Block]:
    keys, (box, inverse) = _round_keys(key), _boxes()

    def encrypt(block: bytes) -> bytes:
        state = xor(block, keys[0])
        for at, round_key in enumerate(keys[1:], 1):
            state = _shifted(bytes(box[b] for b in state), 1)
            state = xor(state if at == len(keys) - 1 else _mixed(state, (2, 3, 1, 1)), round_key)
        return state

    def decrypt(block: bytes) -> bytes:
        state = block
        for at, round_key in enumerate(reversed(keys[1:])):
            state = xor(state, round_key)
            state = state if at == 0 else _mixed(state, (14, 11, 13, 9))
            state = bytes(inverse[b] for b in _shifted(state, -1))
        return xor(state, keys[0])

    return encrypt, decrypt


# -- single blocks of libcrypto


def _single(cipher: Cipher[modes.ECB]) -> tuple[Block, Block]:
    def encrypt(block: bytes) -> bytes:
        return cipher.encryptor().update(block)

    def decrypt(block: bytes) -> bytes:
        return cipher.decryptor().update(block)

    return encrypt, decrypt


def aes(key: bytes) -> tuple[Block, Block]:
    return _single(Cipher(algorithms.AES(key), modes.ECB()))


def des3(key: bytes) -> tuple[Block, Block]:
    return _single(Cipher(TripleDES(key), modes.ECB()))


# -- SP 800-38A


def ecb(work: Block, data: bytes, size: int = 16) -> bytes:
    return b"".join(work(block) for block in split(data, size))


def cbc_encrypt(encrypt: Block, iv: bytes, data: bytes) -> bytes:
    out, last = b"", iv
    for block in split(data, len(iv)):
        last = encrypt(xor(block, last))
        out += last
    return out


def cbc_decrypt(decrypt: Block, iv: bytes, data: bytes) -> bytes:
    blocks = split(data, len(iv))
    return b"".join(xor(decrypt(block), before) for before, block in zip([iv, *blocks], blocks, strict=False))


def padded(data: bytes, size: int = 16) -> bytes:
    """PKCS#7 (RFC 5652, section 6.3)."""
    pad = size - len(data) % size
    return data + bytes([pad]) * pad


def ctr(encrypt: Block, block: bytes, data: bytes) -> bytes:
    first = int.from_bytes(block, "big")
    return b"".join(
        xor(part, encrypt(((first + at) % 2**128).to_bytes(16, "big"))) for at, part in enumerate(split(data))
    )


def ofb(encrypt: Block, iv: bytes, data: bytes) -> bytes:
    out, last = b"", iv
    for part in split(data, len(iv)):
        last = encrypt(last)
        out += xor(part, last)
    return out


def cfb(encrypt: Block, iv: bytes, data: bytes, segment: int, *, encrypting: bool) -> bytes:
    """Of segments of so many bytes; the last one may be shorter."""
    out, register = b"", iv
    for part in split(data, segment):
        made = xor(part, encrypt(register))
        register = (register + (made if encrypting else part))[-len(iv) :]
        out += made
    return out


# -- the addendum to SP 800-38A


def cts_encrypt(encrypt: Block, iv: bytes, data: bytes, variant: int) -> bytes:
    rest = len(data) % 16
    blocks = split(cbc_encrypt(encrypt, iv, data + bytes(-len(data) % 16)))
    if len(blocks) == 1:
        return blocks[0]
    head, last_but_one, last = b"".join(blocks[:-2]), blocks[-2][: rest or 16], blocks[-1]
    swapped = variant == 3 or (variant == 2 and rest)
    return head + (last + last_but_one if swapped else last_but_one + last)


def cts_decrypt(both: tuple[Block, Block], iv: bytes, data: bytes, variant: int) -> bytes:
    rest = len(data) % 16 or 16
    if len(data) == 16:
        return cbc_decrypt(both[1], iv, data)
    head, tail = data[: len(data) - 16 - rest], data[len(data) - 16 - rest :]
    swapped = variant == 3 or (variant == 2 and rest < 16)
    last, short = (tail[:16], tail[16:]) if swapped else (tail[rest:], tail[:rest])
    opened = both[1](last)
    whole = cbc_decrypt(both[1], iv, head + short + opened[rest:] + last)
    return whole[: len(data)]


# -- SP 800-38B


def _doubled(value: int, size: int) -> int:
    bits = 8 * size
    return (value << 1) % 2**bits ^ ((0x87 if size == 16 else 0x1B) if value >> bits - 1 else 0)


def cmac(encrypt: Block, data: bytes, size: int = 16) -> bytes:
    key = _doubled(int.from_bytes(encrypt(bytes(size)), "big"), size)
    whole = bool(data) and len(data) % size == 0
    if not whole:
        key = _doubled(key, size)
        data += b"\x80" + bytes(-(len(data) + 1) % size)
    masked = data[:-size] + xor(data[-size:], key.to_bytes(size, "big"))
    return cbc_encrypt(encrypt, bytes(size), masked)[-size:]


# -- SP 800-38C


def _ccm_mac(encrypt: Block, nonce: bytes, aad: bytes, text: bytes, tag: int) -> bytes:
    width = 15 - len(nonce)
    flags = (64 if aad else 0) + 8 * ((tag - 2) // 2) + width - 1
    data = bytes([flags]) + nonce + len(text).to_bytes(width, "big")
    if aad:
        size = len(aad).to_bytes(2, "big") if len(aad) < 0xFF00 else b"\xff\xfe" + len(aad).to_bytes(4, "big")
        data += size + aad + bytes(-(len(size) + len(aad)) % 16)
    return cbc_encrypt(encrypt, bytes(16), data + text + bytes(-len(text) % 16))[-16:][:tag]


def _ccm_keystream(encrypt: Block, nonce: bytes, data: bytes) -> bytes:
    return ctr(encrypt, bytes([14 - len(nonce)]) + nonce + bytes(15 - len(nonce)), data)


def ccm_encrypt(encrypt: Block, nonce: bytes, aad: bytes, text: bytes, tag: int) -> bytes:
    mac = _ccm_mac(encrypt, nonce, aad, text, tag)
    out = _ccm_keystream(encrypt, nonce, mac + bytes(16 - tag) + text)
    return out[16:] + out[:tag]


def ccm_decrypt(encrypt: Block, nonce: bytes, aad: bytes, sealed: bytes, tag: int) -> bytes | None:
    text, mac = sealed[: len(sealed) - tag], sealed[len(sealed) - tag :]
    opened = _ccm_keystream(encrypt, nonce, mac + bytes(16 - tag) + text)
    return opened[16:] if _ccm_mac(encrypt, nonce, aad, opened[16:], tag) == opened[:tag] else None


# -- SP 800-38D


def _ghash(key: int, data: bytes) -> int:
    state = 0
    for block in split(data):
        left, product = state ^ int.from_bytes(block, "big"), 0
        turning = key
        for bit in range(127, -1, -1):
            product ^= turning if left >> bit & 1 else 0
            turning = turning >> 1 ^ (0xE1 << 120 if turning & 1 else 0)
        state = product
    return state


def _filled(data: bytes) -> bytes:
    return data + bytes(-len(data) % 16)


def _gcm(encrypt: Block, iv: bytes, aad: bytes, data: bytes, *, encrypting: bool) -> tuple[bytes, bytes]:
    key = int.from_bytes(encrypt(bytes(16)), "big")
    if len(iv) == 12:
        start = int.from_bytes(iv + b"\0\0\0\1", "big")
    else:
        start = _ghash(key, _filled(iv) + bytes(8) + (8 * len(iv)).to_bytes(8, "big"))
    nonce, count = start >> 32 << 32, start % 2**32
    made = b"".join(
        xor(part, encrypt((nonce | (count + at) % 2**32).to_bytes(16, "big"))) for at, part in enumerate(split(data), 1)
    )
    lengths = (8 * len(aad)).to_bytes(8, "big") + (8 * len(data)).to_bytes(8, "big")
    mac = _ghash(key, _filled(aad) + _filled(made if encrypting else data) + lengths).to_bytes(16, "big")
    return made, xor(mac, encrypt(start.to_bytes(16, "big")))


def gcm_encrypt(encrypt: Block, iv: bytes, aad: bytes, text: bytes, tag: int) -> bytes:
    made, mac = _gcm(encrypt, iv, aad, text, encrypting=True)
    return made + mac[:tag]


def gcm_decrypt(encrypt: Block, iv: bytes, aad: bytes, sealed: bytes, tag: int) -> bytes | None:
    text, mac = sealed[: len(sealed) - tag], sealed[len(sealed) - tag :]
    opened, wanted = _gcm(encrypt, iv, aad, text, encrypting=False)
    return opened if wanted[:tag] == mac else None


# -- SP 800-38E (IEEE 1619)


def xts(work: Block, encrypt_tweak: Block, tweak: bytes, data: bytes, *, encrypting: bool) -> bytes:
    turning = int.from_bytes(encrypt_tweak(tweak), "little")

    def block(part: bytes, mask: int) -> bytes:
        raw = mask.to_bytes(16, "little")
        return xor(work(xor(part, raw)), raw)

    masks = []
    for _ in range(len(data) // 16 + 1):
        masks.append(turning)
        turning = turning << 1 ^ (0x87 | 1 << 128 if turning >> 127 else 0)
    rest = len(data) % 16
    count = len(data) // 16 - bool(rest)
    out = b"".join(block(data[16 * at : 16 * at + 16], masks[at]) for at in range(count))
    if rest:
        one, two = (count, count + 1) if encrypting else (count + 1, count)
        whole = block(data[16 * count : 16 * count + 16], masks[one])
        last = block(data[16 * count + 16 :] + whole[rest:], masks[two])
        out += last + whole[:rest]
    return out


# -- SP 800-38F (RFC 3394, RFC 5649)


def _w(encrypt: Block, data: bytes) -> bytes:
    head, *rest = split(data, 8)
    step = 0
    for _ in range(6):
        for at in range(len(rest)):
            step += 1
            made = encrypt(head + rest[at])
            head, rest[at] = xor(made[:8], step.to_bytes(8, "big")), made[8:]
    return head + b"".join(rest)


def _w_undone(decrypt: Block, data: bytes) -> bytes:
    head, *rest = split(data, 8)
    step = 6 * len(rest)
    for _ in range(6):
        for at in reversed(range(len(rest))):
            made = decrypt(xor(head, step.to_bytes(8, "big")) + rest[at])
            head, rest[at] = made[:8], made[8:]
            step -= 1
    return head + b"".join(rest)


def kw_wrap(encrypt: Block, data: bytes, iv: bytes = b"\xa6" * 8) -> bytes:
    return _w(encrypt, iv + data)


def kw_unwrap(decrypt: Block, sealed: bytes, iv: bytes = b"\xa6" * 8) -> bytes | None:
    opened = _w_undone(decrypt, sealed)
    return opened[8:] if opened[:8] == iv else None


def kwp_wrap(encrypt: Block, data: bytes, iv: bytes = b"\xa6\x59\x59\xa6") -> bytes:
    filled = iv + len(data).to_bytes(4, "big") + data + bytes(-len(data) % 8)
    return encrypt(filled) if len(filled) == 16 else _w(encrypt, filled)


def kwp_unwrap(decrypt: Block, sealed: bytes, iv: bytes = b"\xa6\x59\x59\xa6") -> bytes | None:
    opened = decrypt(sealed) if len(sealed) == 16 else _w_undone(decrypt, sealed)
    size = int.from_bytes(opened[4:8], "big")
    good = opened[:4] == iv and 0 <= len(opened) - 8 - size < 8 and not any(opened[8 + size :])
    return opened[8 : 8 + size] if good else None
