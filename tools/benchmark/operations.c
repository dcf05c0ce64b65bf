/* The operations that are measured, a row each, and the token keys that they use. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

enum { LABEL = 32, DIGEST = 32, GCM_IV = 12, SECRET = 32 };

static CK_BBOOL yes = CK_TRUE;
static CK_BBOOL no = CK_FALSE;
static CK_BYTE p256[] = {6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7};
static CK_BYTE p384[] = {6, 5, 0x2b, 0x81, 4, 0, 0x22};
static CK_BYTE ed25519[] = {0x13, 12, 'e', 'd', 'w', 'a', 'r', 'd', 's', '2', '5', '5', '1', '9'};
static CK_BYTE exponent[] = {1, 0, 1};
/* A DigestInfo of SHA-256; its last 32 bytes are a digest for ECDSA. */
static CK_BYTE digest_info[51] = {0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 0x20};

#define VALUE(object) &(object), sizeof(object)
#define COUNT(rows) (sizeof(rows) / sizeof *(rows))

/* ---- the token's keys ---- */

static bool listed(CK_MECHANISM_TYPE type)
{
    CK_MECHANISM_INFO info;
    return p11->C_GetMechanismInfo(slot, type, &info) == CKR_OK;
}

static void make_pair(CK_SESSION_HANDLE session, CK_MECHANISM_TYPE type, const char *label, CK_ATTRIBUTE first,
                      CK_ATTRIBUTE second, CK_ATTRIBUTE_TYPE public_use, CK_ATTRIBUTE_TYPE private_use)
{
    CK_MECHANISM mechanism = {type, NULL, 0};
    CK_ATTRIBUTE name = {CKA_LABEL, (void *)label, strlen(label)};
    CK_ATTRIBUTE token = {CKA_TOKEN, VALUE(yes)};
    CK_ATTRIBUTE public_key[] = {name, token, {CKA_VERIFY, VALUE(yes)}, {CKA_PRIVATE, VALUE(no)},
                                 first, {public_use, VALUE(yes)}, second};
    CK_ATTRIBUTE private_key[] = {name, token, {CKA_SIGN, VALUE(yes)}, {private_use, VALUE(yes)},
                                  {CKA_PRIVATE, VALUE(yes)}, {CKA_SENSITIVE, VALUE(yes)}};
    CK_OBJECT_HANDLE one;
    CK_OBJECT_HANDLE two;
    CK_ULONG given = COUNT(public_key) - (second.pValue == NULL ? 1 : 0);
    check("C_GenerateKeyPair", p11->C_GenerateKeyPair(session, &mechanism, public_key, given, private_key,
                                                      COUNT(private_key), &one, &two));
}

static void make_secret(CK_SESSION_HANDLE session, CK_MECHANISM_TYPE type, const char *label, CK_ATTRIBUTE_TYPE use,
                        CK_ATTRIBUTE_TYPE other_use)
{
    CK_MECHANISM mechanism = {type, NULL, 0};
    CK_ULONG length = SECRET;
    CK_ATTRIBUTE rows[] = {{CKA_LABEL, (void *)label, strlen(label)}, {CKA_TOKEN, VALUE(yes)},
                           {CKA_VALUE_LEN, VALUE(length)}, {use, VALUE(yes)}, {other_use, VALUE(yes)},
                           {CKA_SENSITIVE, VALUE(yes)}, {CKA_PRIVATE, VALUE(yes)}};
    CK_OBJECT_HANDLE made;
    check("C_GenerateKey", p11->C_GenerateKey(session, &mechanism, rows, COUNT(rows), &made));
}

void make_keys(CK_SESSION_HANDLE session)
{
    static const struct {
        const char *label;
        CK_ULONG bits;
    } rsa[] = {{"rsa-2048", 2048}, {"rsa-4096", 4096}};
    for (CK_ULONG i = 0; i < COUNT(rsa); i++) {
        CK_ULONG bits = rsa[i].bits;
        make_pair(session, CKM_RSA_PKCS_KEY_PAIR_GEN, rsa[i].label, (CK_ATTRIBUTE){CKA_MODULUS_BITS, VALUE(bits)},
                  (CK_ATTRIBUTE){CKA_PUBLIC_EXPONENT, VALUE(exponent)}, CKA_ENCRYPT, CKA_DECRYPT);
    }
    CK_ATTRIBUTE none = {0, NULL, 0};
    make_pair(session, CKM_EC_KEY_PAIR_GEN, "p256", (CK_ATTRIBUTE){CKA_EC_PARAMS, VALUE(p256)}, none, CKA_DERIVE,
              CKA_DERIVE);
    make_pair(session, CKM_EC_KEY_PAIR_GEN, "p384", (CK_ATTRIBUTE){CKA_EC_PARAMS, VALUE(p384)}, none, CKA_DERIVE,
              CKA_DERIVE);
    if (listed(CKM_EC_EDWARDS_KEY_PAIR_GEN))
        make_pair(session, CKM_EC_EDWARDS_KEY_PAIR_GEN, "ed25519", (CK_ATTRIBUTE){CKA_EC_PARAMS, VALUE(ed25519)}, none,
                  CKA_DERIVE, CKA_DERIVE);
    make_secret(session, CKM_AES_KEY_GEN, "aes", CKA_ENCRYPT, CKA_DECRYPT);
    make_secret(session, CKM_AES_KEY_GEN, "kek", CKA_WRAP, CKA_UNWRAP);
    make_secret(session, CKM_GENERIC_SECRET_KEY_GEN, "hmac", CKA_SIGN, CKA_VERIFY);
}

/* ---- one call of each ---- */

static CK_MECHANISM plain(const struct operation *operation)
{
    return (CK_MECHANISM){operation->mechanism, NULL, 0};
}

static void session_info(const struct operation *operation, struct work *work)
{
    (void)operation;
    CK_SESSION_INFO info;
    check("C_GetSessionInfo", p11->C_GetSessionInfo(work->session, &info));
}

static void mechanism_info(const struct operation *operation, struct work *work)
{
    (void)work;
    CK_MECHANISM_INFO info;
    check("C_GetMechanismInfo", p11->C_GetMechanismInfo(slot, operation->mechanism, &info));
}

static void session_life(const struct operation *operation, struct work *work)
{
    (void)operation;
    (void)work;
    check("C_CloseSession", p11->C_CloseSession(open_session()));
}

static void attributes(const struct operation *operation, struct work *work)
{
    (void)operation;
    CK_ULONG type;
    CK_BYTE label[LABEL];
    CK_ATTRIBUTE rows[] = {{CKA_KEY_TYPE, VALUE(type)}, {CKA_LABEL, VALUE(label)}};
    check("C_GetAttributeValue", p11->C_GetAttributeValue(work->session, work->key, rows, COUNT(rows)));
}

static void find_label(const struct operation *operation, struct work *work)
{
    (void)operation;
    char label[LABEL];
    CK_ATTRIBUTE row = {CKA_LABEL, label, 0};
    CK_OBJECT_HANDLE found;
    CK_ULONG objects = work->size > 0 ? work->size : 1;
    row.ulValueLen =
        (CK_ULONG)snprintf(label, sizeof label, "object-%06lu", (unsigned long)rand_r(&work->seed) % objects);
    if (find(work->session, &row, 1, &found) != 1)
        check("C_FindObjects: the object is missing", CKR_OBJECT_HANDLE_INVALID);
}

static void make_object(struct work *work, CK_BBOOL token)
{
    CK_ULONG class = CKO_DATA;
    CK_ATTRIBUTE rows[] = {{CKA_CLASS, VALUE(class)}, {CKA_TOKEN, VALUE(token)}, {CKA_PRIVATE, VALUE(no)},
                           {CKA_LABEL, "made", 4}, {CKA_VALUE, digest_info, sizeof digest_info}};
    CK_OBJECT_HANDLE made;
    check("C_CreateObject", p11->C_CreateObject(work->session, rows, COUNT(rows), &made));
    check("C_DestroyObject", p11->C_DestroyObject(work->session, made));
}

static void session_object(const struct operation *operation, struct work *work)
{
    (void)operation;
    make_object(work, CK_FALSE);
}

static void token_object(const struct operation *operation, struct work *work)
{
    (void)operation;
    make_object(work, CK_TRUE);
}

static void random_bytes(const struct operation *operation, struct work *work)
{
    (void)operation;
    check("C_GenerateRandom", p11->C_GenerateRandom(work->session, work->output, work->size));
}

static void digest(const struct operation *operation, struct work *work)
{
    CK_MECHANISM mechanism = plain(operation);
    CK_ULONG length = work->room;
    check("C_DigestInit", p11->C_DigestInit(work->session, &mechanism));
    check("C_Digest", p11->C_Digest(work->session, work->data, work->size, work->output, &length));
}

static CK_ULONG sign(const struct operation *operation, struct work *work, CK_OBJECT_HANDLE key, CK_BYTE *data,
                     CK_ULONG size)
{
    CK_MECHANISM mechanism = plain(operation);
    CK_ULONG length = work->room;
    check("C_SignInit", p11->C_SignInit(work->session, &mechanism, key));
    check("C_Sign", p11->C_Sign(work->session, data, size, work->output, &length));
    return length;
}

static void sign_data(const struct operation *operation, struct work *work)
{
    (void)sign(operation, work, work->key, work->data, work->size);
}

static void sign_info(const struct operation *operation, struct work *work)
{
    (void)sign(operation, work, work->key, digest_info, sizeof digest_info);
}

static void sign_digest(const struct operation *operation, struct work *work)
{
    (void)sign(operation, work, work->key, digest_info + sizeof digest_info - DIGEST, DIGEST);
}

/* A signature by the private key (``other``), for the public one (``key``) to verify. */
static void keep_signature(const struct operation *operation, struct work *work)
{
    bool raw = operation->mechanism == CKM_ECDSA;
    CK_BYTE *data = raw ? digest_info + sizeof digest_info - DIGEST : digest_info;
    work->length = sign(operation, work, work->other, data, raw ? DIGEST : sizeof digest_info);
    memcpy(work->kept, work->output, work->length);
}

static void verify(const struct operation *operation, struct work *work)
{
    CK_MECHANISM mechanism = plain(operation);
    bool raw = operation->mechanism == CKM_ECDSA;
    CK_BYTE *data = raw ? digest_info + sizeof digest_info - DIGEST : digest_info;
    check("C_VerifyInit", p11->C_VerifyInit(work->session, &mechanism, work->key));
    check("C_Verify", p11->C_Verify(work->session, data, raw ? DIGEST : sizeof digest_info, work->kept, work->length));
}

/* An IV for CBC and ECB's none; for GCM one that never comes again. */
struct cipher {
    CK_BYTE iv[16];
    CK_GCM_PARAMS gcm;
    CK_RSA_PKCS_OAEP_PARAMS oaep;
    CK_MECHANISM mechanism;
};

static void choose(const struct operation *operation, struct work *work, struct cipher *cipher)
{
    memset(cipher, 0, sizeof *cipher);
    cipher->mechanism = plain(operation);
    if (operation->mechanism == CKM_AES_CBC) {
        cipher->mechanism.pParameter = cipher->iv;
        cipher->mechanism.ulParameterLen = sizeof cipher->iv;
    } else if (operation->mechanism == CKM_AES_GCM) {
        memcpy(cipher->iv, &work->calls, sizeof work->calls);
        memcpy(cipher->iv + sizeof work->calls, &work->seed, sizeof work->seed);
        cipher->gcm = (CK_GCM_PARAMS){.pIv = cipher->iv, .ulIvLen = GCM_IV, .ulIvBits = 8 * GCM_IV, .ulTagBits = 128};
        cipher->mechanism.pParameter = &cipher->gcm;
        cipher->mechanism.ulParameterLen = sizeof cipher->gcm;
    } else if (operation->mechanism == CKM_RSA_PKCS_OAEP) {
        cipher->oaep = (CK_RSA_PKCS_OAEP_PARAMS){CKM_SHA_1, CKG_MGF1_SHA1, CKZ_DATA_SPECIFIED, NULL, 0};
        cipher->mechanism.pParameter = &cipher->oaep;
        cipher->mechanism.ulParameterLen = sizeof cipher->oaep;
    }
}

static void encrypt(const struct operation *operation, struct work *work)
{
    struct cipher cipher;
    choose(operation, work, &cipher);
    CK_ULONG length = work->room;
    check("C_EncryptInit", p11->C_EncryptInit(work->session, &cipher.mechanism, work->key));
    check("C_Encrypt", p11->C_Encrypt(work->session, work->data, work->size, work->output, &length));
}

static void decrypt(const struct operation *operation, struct work *work)
{
    struct cipher cipher;
    choose(operation, work, &cipher);
    CK_ULONG length = work->room;
    bool sealed = operation->mechanism == CKM_RSA_PKCS_OAEP; /* CBC takes any blocks for a ciphertext */
    check("C_DecryptInit", p11->C_DecryptInit(work->session, &cipher.mechanism, work->key));
    check("C_Decrypt", p11->C_Decrypt(work->session, sealed ? work->kept : work->data,
                                      sealed ? work->length : work->size, work->output, &length));
}

static void keep_ciphertext(const struct operation *operation, struct work *work)
{
    struct cipher cipher;
    choose(operation, work, &cipher);
    work->length = sizeof work->kept;
    check("C_EncryptInit", p11->C_EncryptInit(work->session, &cipher.mechanism, work->other));
    check("C_Encrypt", p11->C_Encrypt(work->session, digest_info, DIGEST, work->kept, &work->length));
}

static void keep_point(const struct operation *operation, struct work *work)
{
    (void)operation;
    CK_ATTRIBUTE row = {CKA_EC_POINT, work->kept, sizeof work->kept};
    check("C_GetAttributeValue", p11->C_GetAttributeValue(work->session, work->other, &row, 1));
    work->length = row.ulValueLen;
}

static void agree(const struct operation *operation, struct work *work)
{
    CK_ECDH1_DERIVE_PARAMS parameter = {.kdf = CKD_NULL, .pPublicData = work->kept, .ulPublicDataLen = work->length};
    CK_MECHANISM mechanism = {operation->mechanism, &parameter, sizeof parameter};
    CK_ULONG class = CKO_SECRET_KEY;
    CK_ULONG type = CKK_GENERIC_SECRET;
    CK_ULONG length = SECRET;
    CK_ATTRIBUTE rows[] = {{CKA_CLASS, VALUE(class)}, {CKA_KEY_TYPE, VALUE(type)}, {CKA_VALUE_LEN, VALUE(length)},
                           {CKA_TOKEN, VALUE(no)}};
    CK_OBJECT_HANDLE made;
    check("C_DeriveKey", p11->C_DeriveKey(work->session, &mechanism, work->key, rows, COUNT(rows), &made));
    check("C_DestroyObject", p11->C_DestroyObject(work->session, made));
}

static CK_OBJECT_HANDLE session_key(struct work *work, bool extractable)
{
    CK_MECHANISM mechanism = {CKM_AES_KEY_GEN, NULL, 0};
    CK_ULONG length = SECRET;
    CK_BBOOL out = extractable ? CK_TRUE : CK_FALSE;
    CK_ATTRIBUTE rows[] = {{CKA_VALUE_LEN, VALUE(length)}, {CKA_TOKEN, VALUE(no)}, {CKA_EXTRACTABLE, VALUE(out)},
                           {CKA_SENSITIVE, VALUE(yes)}};
    CK_OBJECT_HANDLE made;
    check("C_GenerateKey", p11->C_GenerateKey(work->session, &mechanism, rows, COUNT(rows), &made));
    return made;
}

static void generate_aes(const struct operation *operation, struct work *work)
{
    (void)operation;
    check("C_DestroyObject", p11->C_DestroyObject(work->session, session_key(work, false)));
}

static void generate_pair(const struct operation *operation, struct work *work)
{
    CK_MECHANISM mechanism = plain(operation);
    CK_ULONG bits = 2048;
    bool rsa = operation->mechanism == CKM_RSA_PKCS_KEY_PAIR_GEN;
    CK_ATTRIBUTE of_rsa[] = {{CKA_MODULUS_BITS, VALUE(bits)}, {CKA_PUBLIC_EXPONENT, VALUE(exponent)}};
    CK_ATTRIBUTE of_ec[] = {{CKA_EC_PARAMS, VALUE(p256)}};
    CK_ATTRIBUTE private_key[] = {{CKA_SIGN, VALUE(yes)}, {CKA_TOKEN, VALUE(no)}};
    CK_OBJECT_HANDLE one;
    CK_OBJECT_HANDLE two;
    check("C_GenerateKeyPair", p11->C_GenerateKeyPair(work->session, &mechanism, rsa ? of_rsa : of_ec, rsa ? 2 : 1,
                                                      private_key, COUNT(private_key), &one, &two));
    check("C_DestroyObject", p11->C_DestroyObject(work->session, one));
    check("C_DestroyObject", p11->C_DestroyObject(work->session, two));
}

static CK_ULONG wrap_key(const struct operation *operation, struct work *work, CK_OBJECT_HANDLE target, CK_BYTE *blob,
                         CK_ULONG room)
{
    CK_MECHANISM mechanism = plain(operation);
    check("C_WrapKey", p11->C_WrapKey(work->session, &mechanism, work->key, target, blob, &room));
    return room;
}

static void keep_target(const struct operation *operation, struct work *work)
{
    work->other = session_key(work, true);
    work->length = wrap_key(operation, work, work->other, work->kept, sizeof work->kept);
}

static void wrap(const struct operation *operation, struct work *work)
{
    (void)wrap_key(operation, work, work->other, work->output, work->room);
}

static void unwrap(const struct operation *operation, struct work *work)
{
    CK_MECHANISM mechanism = plain(operation);
    CK_ULONG class = CKO_SECRET_KEY;
    CK_ULONG type = CKK_AES;
    CK_ATTRIBUTE rows[] = {{CKA_CLASS, VALUE(class)}, {CKA_KEY_TYPE, VALUE(type)}, {CKA_TOKEN, VALUE(no)}};
    CK_OBJECT_HANDLE made;
    check("C_UnwrapKey", p11->C_UnwrapKey(work->session, &mechanism, work->key, work->kept, work->length, rows,
                                          COUNT(rows), &made));
    check("C_DestroyObject", p11->C_DestroyObject(work->session, made));
}

#define NONE CK_UNAVAILABLE_INFORMATION
#define PRIVATE CKO_PRIVATE_KEY
#define PUBLIC CKO_PUBLIC_KEY
#define SECRET_KEY CKO_SECRET_KEY

const struct operation operations[] = {
    {"empty", NONE, NULL, 0, NULL, 0, NULL, session_info},
    {"mechanism-info", CKM_RSA_PKCS, NULL, 0, NULL, 0, NULL, mechanism_info},
    {"attributes", NONE, "rsa-2048", PRIVATE, NULL, 0, NULL, attributes},
    {"find", NONE, NULL, 0, NULL, 0, NULL, find_label},
    {"session", NONE, NULL, 0, NULL, 0, NULL, session_life},
    {"session-object", NONE, NULL, 0, NULL, 0, NULL, session_object},
    {"token-object", NONE, NULL, 0, NULL, 0, NULL, token_object},
    {"random", NONE, NULL, 0, NULL, 0, NULL, random_bytes},
    {"sha256", CKM_SHA256, NULL, 0, NULL, 0, NULL, digest},
    {"hmac-sha256", CKM_SHA256_HMAC, "hmac", SECRET_KEY, NULL, 0, NULL, sign_data},
    {"aes-cbc-encrypt", CKM_AES_CBC, "aes", SECRET_KEY, NULL, 0, NULL, encrypt},
    {"aes-cbc-decrypt", CKM_AES_CBC, "aes", SECRET_KEY, NULL, 0, NULL, decrypt},
    {"aes-gcm-encrypt", CKM_AES_GCM, "aes", SECRET_KEY, NULL, 0, NULL, encrypt},
    {"rsa-2048-sign", CKM_RSA_PKCS, "rsa-2048", PRIVATE, NULL, 0, NULL, sign_info},
    {"rsa-2048-verify", CKM_RSA_PKCS, "rsa-2048", PUBLIC, "rsa-2048", PRIVATE, keep_signature, verify},
    {"rsa-2048-decrypt", CKM_RSA_PKCS_OAEP, "rsa-2048", PRIVATE, "rsa-2048", PUBLIC, keep_ciphertext, decrypt},
    {"rsa-4096-sign", CKM_RSA_PKCS, "rsa-4096", PRIVATE, NULL, 0, NULL, sign_info},
    {"p256-sign", CKM_ECDSA, "p256", PRIVATE, NULL, 0, NULL, sign_digest},
    {"p256-verify", CKM_ECDSA, "p256", PUBLIC, "p256", PRIVATE, keep_signature, verify},
    {"p384-sign", CKM_ECDSA, "p384", PRIVATE, NULL, 0, NULL, sign_digest},
    {"p256-ecdh", CKM_ECDH1_DERIVE, "p256", PRIVATE, "p256", PUBLIC, keep_point, agree},
    {"ed25519-sign", CKM_EDDSA, "ed25519", PRIVATE, NULL, 0, NULL, sign_digest},
    {"aes-wrap", CKM_AES_KEY_WRAP, "kek", SECRET_KEY, NULL, 0, keep_target, wrap},
    {"aes-unwrap", CKM_AES_KEY_WRAP, "kek", SECRET_KEY, NULL, 0, keep_target, unwrap},
    {"aes-generate", CKM_AES_KEY_GEN, NULL, 0, NULL, 0, NULL, generate_aes},
    {"p256-generate", CKM_EC_KEY_PAIR_GEN, NULL, 0, NULL, 0, NULL, generate_pair},
    {"rsa-2048-generate", CKM_RSA_PKCS_KEY_PAIR_GEN, NULL, 0, NULL, 0, NULL, generate_pair},
    {NULL, NONE, NULL, 0, NULL, 0, NULL, NULL},
};

const struct operation *operation_named(const char *name)
{
    for (const struct operation *row = operations; row->name != NULL; row++)
        if (strcmp(row->name, name) == 0)
            return row;
    return NULL;
}
