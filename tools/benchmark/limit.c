/* What one thread can do at most: libcrypto's EVP in one's own process, keys and all.
 *
 *   limit OPERATION SIZE SECONDS      calls per second; exits with 3 for an operation that has no limit here
 */
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { NO_LIMIT = 3, ROOM = 4096 };

static unsigned char *data;
static unsigned char *output;
static size_t size;

static double now(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

struct limit {
    const char *name;
    EVP_PKEY *(*key)(void);
    int (*once)(EVP_PKEY *key);
};

static EVP_PKEY *rsa_2048(void) { return EVP_RSA_gen(2048); }
static EVP_PKEY *rsa_4096(void) { return EVP_RSA_gen(4096); }
static EVP_PKEY *p256(void) { return EVP_EC_gen("P-256"); }
static EVP_PKEY *p384(void) { return EVP_EC_gen("P-384"); }
static EVP_PKEY *ed25519(void) { return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"); }

/* A context begun anew for each signature, as C_SignInit begins one; of a digest, made before. */
static int sign(EVP_PKEY *key)
{
    static EVP_PKEY_CTX *context;
    size_t length = size + ROOM;
    if (context == NULL && (context = EVP_PKEY_CTX_new(key, NULL)) == NULL)
        return 0;
    if (EVP_PKEY_sign_init(context) <= 0 || EVP_PKEY_CTX_set_signature_md(context, EVP_sha256()) <= 0)
        return 0;
    return EVP_PKEY_sign(context, output, &length, data, 32) > 0;
}

static int sign_message(EVP_PKEY *key)
{
    size_t length = size + ROOM;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int good = context != NULL && EVP_DigestSignInit(context, NULL, NULL, NULL, key) > 0 &&
               EVP_DigestSign(context, output, &length, data, 32) > 0;
    EVP_MD_CTX_free(context);
    return good;
}

static int sha256(EVP_PKEY *key)
{
    (void)key;
    unsigned length;
    return EVP_Digest(data, size, output, &length, EVP_sha256(), NULL);
}

static int hmac(EVP_PKEY *key)
{
    (void)key;
    size_t length;
    return EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, data, 32, data, size, output, ROOM, &length) != NULL;
}

static int encrypt(const EVP_CIPHER *cipher)
{
    static EVP_CIPHER_CTX *context;
    static const unsigned char key[32] = {1};
    static const unsigned char iv[16] = {2};
    int length;
    if (context == NULL && (context = EVP_CIPHER_CTX_new()) == NULL)
        return 0;
    return EVP_EncryptInit_ex2(context, cipher, key, iv, NULL) && EVP_CIPHER_CTX_set_padding(context, 0) &&
           EVP_EncryptUpdate(context, output, &length, data, (int)size) &&
           EVP_EncryptFinal_ex(context, output + length, &length);
}

static int cbc(EVP_PKEY *key)
{
    (void)key;
    return encrypt(EVP_aes_256_cbc());
}

static int gcm(EVP_PKEY *key)
{
    (void)key;
    return encrypt(EVP_aes_256_gcm());
}

static const struct limit limits[] = {
    {"rsa-2048-sign", rsa_2048, sign}, {"rsa-4096-sign", rsa_4096, sign}, {"p256-sign", p256, sign},
    {"p384-sign", p384, sign}, {"ed25519-sign", ed25519, sign_message}, {"sha256", NULL, sha256},
    {"hmac-sha256", NULL, hmac}, {"aes-cbc-encrypt", NULL, cbc}, {"aes-gcm-encrypt", NULL, gcm},
};

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    size = strtoul(argv[2], NULL, 10);
    double seconds = atof(argv[3]);
    data = calloc(1, size + ROOM);
    output = malloc(size + ROOM);
    for (size_t i = 0; i < sizeof limits / sizeof *limits && data != NULL && output != NULL; i++) {
        if (strcmp(limits[i].name, argv[1]) != 0)
            continue;
        EVP_PKEY *key = limits[i].key == NULL ? NULL : limits[i].key();
        if ((limits[i].key != NULL && key == NULL) || !limits[i].once(key))
            return 1;
        long calls = 0;
        double start = now();
        double end;
        for (end = start; end - start < seconds; end = now(), calls++)
            if (!limits[i].once(key))
                return 1;
        (void)printf("%.1f\n", (double)calls / (end - start));
        return 0;
    }
    return NO_LIMIT;
}
