"""RSA without padding, by the machine's own libcrypto: the one thing in it that the cryptography package has not.

``setup.py`` compiles this with cffi where libcrypto's headers are (Debian: libssl-dev), as a module that any CPython
loads; nothing else in the engine needs it. libcrypto blinds private operations and computes them in constant time.
"""

from __future__ import annotations

from pathlib import Path

import cffi

NAME = "_libcrypto"
DECLARATIONS = """
typedef struct evp_pkey_st EVP_PKEY;
EVP_PKEY *adyton_private(const unsigned char *der, long length);
EVP_PKEY *adyton_public(const unsigned char *der, long length);
int adyton_raw(EVP_PKEY *key, int is_private, const unsigned char *in, unsigned char *out, size_t length);
void EVP_PKEY_free(EVP_PKEY *key);
"""
SOURCE = """
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

static EVP_PKEY *adyton_private(const unsigned char *der, long length)
{
    EVP_PKEY *key = d2i_PrivateKey(EVP_PKEY_RSA, NULL, &der, length);

    ERR_clear_error();
    return key;
}

static EVP_PKEY *adyton_public(const unsigned char *der, long length)
{
    EVP_PKEY *key = d2i_PUBKEY(NULL, &der, length);

    ERR_clear_error();
    return key;
}

/* 1, or 0: in and out are as long as the modulus. Signing raw is decrypting raw. */
static int adyton_raw(EVP_PKEY *key, int is_private, const unsigned char *in, unsigned char *out, size_t length)
{
    EVP_PKEY_CTX *work = EVP_PKEY_CTX_new(key, NULL);
    size_t made = length;
    int done = work != NULL
        && (is_private ? EVP_PKEY_decrypt_init(work) : EVP_PKEY_encrypt_init(work)) > 0
        && EVP_PKEY_CTX_set_rsa_padding(work, RSA_NO_PADDING) > 0
        && (is_private ? EVP_PKEY_decrypt(work, out, &made, in, length)
                       : EVP_PKEY_encrypt(work, out, &made, in, length)) > 0
        && made == length;

    EVP_PKEY_CTX_free(work);
    ERR_clear_error();
    return done;
}
"""


def build(folder: Path) -> Path:
    """Compiles the module into ``folder``; raises what cffi and the compiler raise where it can't be done."""
    builder = cffi.FFI()
    builder.cdef(DECLARATIONS)
    # The same module to the byte wherever it is built.
    builder.set_source(NAME, SOURCE, libraries=["crypto"], extra_compile_args=[f"-ffile-prefix-map={folder}=."])
    return Path(builder.compile(tmpdir=str(folder), target=f"{NAME}.abi3.so"))  # cffi asks for the stable ABI itself
