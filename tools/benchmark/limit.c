/* What one thread can do at most: RSA-2048 signatures by libcrypto's EVP, in one's own process, keys and all.
 *
 *   limit SECONDS      signatures per second
 */
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 1;
    unsigned char digest[32] = {0};
    unsigned char signature[256];
    EVP_PKEY *key = EVP_RSA_gen(2048);
    EVP_PKEY_CTX *context = key != NULL ? EVP_PKEY_CTX_new(key, NULL) : NULL;
    if (context == NULL || EVP_PKEY_sign_init(context) <= 0 ||
        EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) <= 0 ||
        EVP_PKEY_CTX_set_signature_md(context, EVP_sha256()) <= 0)
        return 1;
    long calls = 0;
    double start = now();
    double end;
    for (end = start; end - start < seconds; end = now(), calls++) {
        size_t length = sizeof signature;
        if (EVP_PKEY_sign(context, signature, &length, digest, sizeof digest) <= 0)
            return 1;
    }
    (void)printf("%.1f\n", (double)calls / (end - start));
    EVP_PKEY_CTX_free(context);
    EVP_PKEY_free(key);
    return 0;
}
