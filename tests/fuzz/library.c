/* What the library makes of any answer, and of any arguments: one input is one call.
 *
 * The library's own code between a program and the wire (generated/entry.c, generated/params.c, flatten.c), with an engine
 * that answers what the input says. libFuzzer calls LLVMFuzzerTestOneInput; without it (tests/test_fuzz.py) main() replays
 * files, and each of them changed a number of times.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flatten.h"

enum { ROOM = 512, ROWS = 6, MOST_INPUT = 65536 };

struct input {
    const unsigned char *at;
    size_t left;
};

static struct input answer;
static CK_RV answered;

static unsigned byte(struct input *in)
{
    if (in->left == 0)
        return 0;
    in->left--;
    return *in->at++;
}

/* ---- in the place of link.c ---- */

bool adyton_begin(struct adyton_call *call, unsigned function)
{
    call->data = call->inline_buffer;
    call->length = 8;
    call->capacity = sizeof call->inline_buffer;
    call->failed = CKR_OK;
    memset(call->inline_buffer, (int)function, 8);
    return true;
}

CK_RV adyton_exchange(struct adyton_call *call, unsigned char const **at, size_t *length)
{
    if (call->failed != CKR_OK)
        return call->failed;
    *at = answer.at;
    *length = answer.left;
    return answered;
}

uint64_t adyton_events_since(CK_FLAGS flags)
{
    return flags;
}

void adyton_end(struct adyton_call *call)
{
    if (call->data != call->inline_buffer)
        free(call->data);
}

/* ---- arguments, from the input ---- */

/* Bytes of just this length, so that a byte too many is found out. */
static void *some(struct input *in, CK_ULONG *length, void **kept)
{
    static const CK_ULONG absurd[] = {~0UL, ~0UL - 1, 1UL << 63, 1UL << 32, (1UL << 26) + 1, 1UL << 20};
    unsigned size = byte(in);
    if (size > 250) {
        *length = absurd[size - 251];
        return NULL;
    }
    if (size == 250 || size > in->left) {
        *length = 0;
        return NULL;
    }
    *kept = malloc(size == 0 ? 1 : size);
    if (*kept == NULL)
        abort();
    memcpy(*kept, in->at, size);
    in->at += size;
    in->left -= size;
    *length = size;
    return *kept;
}

struct template {
    CK_ATTRIBUTE rows[ROWS];
    CK_ATTRIBUTE inner[2][ROWS];
    void *kept[ROWS * ROWS * ROWS + ROWS * ROWS + ROWS];
    size_t used;
    CK_ULONG count;
};

static void fill(struct input *in, CK_ATTRIBUTE *rows, CK_ULONG *count, struct template *t, int depth)
{
    static const CK_ATTRIBUTE_TYPE types[] = {
        CKA_CLASS, CKA_KEY_TYPE, CKA_VALUE, CKA_LABEL, CKA_ALLOWED_MECHANISMS, CKA_WRAP_TEMPLATE, CKA_UNWRAP_TEMPLATE,
        CKA_DERIVE_TEMPLATE, CKA_MODULUS, CKA_ID, 0x40000123, ~0UL,
    };
    *count = byte(in) % (ROWS + 1);
    for (CK_ULONG i = 0; i < *count; i++) {
        rows[i].type = types[byte(in) % (sizeof types / sizeof types[0])];
        bool nests = rows[i].type == CKA_WRAP_TEMPLATE || rows[i].type == CKA_UNWRAP_TEMPLATE ||
                     rows[i].type == CKA_DERIVE_TEMPLATE;
        if (nests && depth < 2) {
            CK_ULONG inner = 0;
            rows[i].pValue = t->inner[depth];
            fill(in, t->inner[depth], &inner, t, depth + 1);
            rows[i].ulValueLen = inner * sizeof(CK_ATTRIBUTE) + (byte(in) == 7);
            if (rows[i].ulValueLen > sizeof t->inner[depth])
                rows[i].ulValueLen = sizeof t->inner[depth];
        } else if (nests) {
            rows[i].pValue = NULL;
            rows[i].ulValueLen = byte(in) == 3 ? 24 : 0;
        } else {
            rows[i].pValue = some(in, &rows[i].ulValueLen, &t->kept[t->used++]);
        }
    }
}

static void release(struct template *t)
{
    for (size_t i = 0; i < sizeof t->kept / sizeof t->kept[0]; i++)
        free(t->kept[i]);
}

/* ---- one call each ---- */

static void with_output(struct input *in)
{
    CK_BYTE out[ROOM];
    CK_ULONG room = byte(in) * 2;
    unsigned which = byte(in);
    answer = *in;
    switch (which % 8) {
    case 0:
        (void)C_Encrypt(1, out, 16, (which & 64) != 0 ? NULL : out, &room);
        break;
    case 1:
        room /= sizeof(CK_ULONG);
        (void)C_GetMechanismList(0, (which & 64) != 0 ? NULL : (CK_ULONG *)(void *)out, &room);
        break;
    case 2: {
        CK_MECHANISM_INFO info;
        (void)C_GetMechanismInfo(0, 1, &info);
        break;
    }
    case 3: {
        CK_ULONG found[ROOM / 8];
        CK_ULONG count = 0;
        (void)C_FindObjects(1, found, room % (ROOM / 8), &count);
        break;
    }
    case 4: {
        CK_SESSION_HANDLE opened;
        (void)C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &opened);
        break;
    }
    case 5:
        (void)C_GenerateRandom(1, out, room);
        break;
    default: {
        CK_BYTE iv[12] = {0};
        CK_BYTE tag[16];
        CK_GCM_MESSAGE_PARAMS form = {iv, sizeof iv, 0, CKG_GENERATE, (which & 32) != 0 ? NULL : tag, 128};
        if ((which & 16) != 0)
            (void)C_EncryptMessageBegin(1, &form, sizeof form, NULL, 0);
        else
            (void)C_EncryptMessage(1, &form, sizeof form, NULL, 0, out, 4, (which & 64) != 0 ? NULL : out, &room);
    }
    }
}

static void with_query(struct input *in)
{
    struct template t = {0};
    fill(in, t.rows, &t.count, &t, 0);
    answer = *in;
    (void)C_GetAttributeValue(1, 2, t.rows, t.count);
    release(&t);
}

static void with_template(struct input *in)
{
    struct template t = {0};
    CK_OBJECT_HANDLE made;
    CK_BYTE iv[16] = {0};
    void *kept = NULL;
    CK_MECHANISM mechanism = {0, iv, 0};
    static const CK_MECHANISM_TYPE types[] = {CKM_AES_CBC, CKM_SHA256_HMAC_GENERAL, CKM_AES_KEY_WRAP, CKM_RSA_PKCS, ~0UL};
    mechanism.mechanism = types[byte(in) % (sizeof types / sizeof types[0])];
    mechanism.pParameter = some(in, &mechanism.ulParameterLen, &kept);
    fill(in, t.rows, &t.count, &t, 0);
    answer = *in;
    (void)C_GenerateKey(1, &mechanism, t.rows, t.count, &made);
    (void)C_CreateObject(1, t.rows, t.count, &made);
    free(kept);
    release(&t);
}

static void with_structure(struct input *in)
{
    void *kept[4] = {NULL, NULL, NULL, NULL};
    CK_MECHANISM mechanism = {CKM_AES_GCM, NULL, 0};
    CK_GCM_PARAMS gcm = {0};
    CK_HKDF_PARAMS hkdf = {0};
    CK_PRF_DATA_PARAM fields[4] = {0};
    CK_SP800_108_KDF_PARAMS kdf = {0};
    CK_RSA_PKCS_OAEP_PARAMS oaep = {0};
    CK_RSA_AES_KEY_WRAP_PARAMS wrap = {0};
    unsigned which = byte(in) % 4;
    if (which == 0) {
        gcm.pIv = some(in, &gcm.ulIvLen, &kept[0]);
        gcm.pAAD = some(in, &gcm.ulAADLen, &kept[1]);
        mechanism.pParameter = &gcm;
        mechanism.ulParameterLen = sizeof gcm;
    } else if (which == 1) {
        mechanism.mechanism = CKM_HKDF_DERIVE;
        hkdf.pSalt = some(in, &hkdf.ulSaltLen, &kept[0]);
        hkdf.pInfo = some(in, &hkdf.ulInfoLen, &kept[1]);
        mechanism.pParameter = &hkdf;
        mechanism.ulParameterLen = sizeof hkdf;
    } else if (which == 2) {
        mechanism.mechanism = CKM_SP800_108_COUNTER_KDF;
        kdf.pDataParams = fields;
        kdf.ulNumberOfDataParams = byte(in) % 5;
        for (CK_ULONG i = 0; i < kdf.ulNumberOfDataParams; i++) {
            fields[i].type = byte(in);
            fields[i].pValue = some(in, &fields[i].ulValueLen, &kept[i]);
        }
        kdf.ulAdditionalDerivedKeys = byte(in) == 9;
        mechanism.pParameter = &kdf;
        mechanism.ulParameterLen = sizeof kdf;
    } else {
        mechanism.mechanism = CKM_RSA_AES_KEY_WRAP;
        wrap.pOAEPParams = byte(in) % 4 == 0 ? NULL : &oaep;
        oaep.pSourceData = some(in, &oaep.ulSourceDataLen, &kept[0]);
        mechanism.pParameter = &wrap;
        mechanism.ulParameterLen = sizeof wrap;
    }
    if (byte(in) == 5)
        mechanism.ulParameterLen--;
    answer = *in;
    (void)C_EncryptInit(1, &mechanism, 2);
    for (int i = 0; i < 4; i++)
        free(kept[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const CK_RV codes[] = {CKR_OK, CKR_BUFFER_TOO_SMALL, CKR_ATTRIBUTE_SENSITIVE, CKR_ATTRIBUTE_TYPE_INVALID, CKR_DEVICE_ERROR};
    static void (*const calls[])(struct input *) = {with_output, with_query, with_template, with_structure};
    struct input in = {data, size};
    answered = codes[byte(&in) % (sizeof codes / sizeof codes[0])];
    calls[byte(&in) % 4](&in);
    return 0;
}

#ifndef LIBFUZZER
static uint64_t state = 88172645463325252ULL;

static size_t below(size_t most)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (size_t)(state % most);
}

/* Flips, overwrites, cuts and copies, a few at a time. */
static size_t changed(unsigned char *data, size_t size)
{
    for (size_t n = 1 + below(4); n > 0; n--) {
        if (size == 0)
            return size;
        switch (below(5)) {
        case 0:
            data[below(size)] ^= (unsigned char)(1U << below(8));
            break;
        case 1:
            data[below(size)] = (unsigned char)below(256);
            break;
        case 2:
            size = below(size) + 1;
            break;
        case 3:
            memset(data + below(size), 0xff, 1);
            break;
        default:
            if (size < MOST_INPUT / 2) {
                memmove(data + size, data, size);
                size += below(size);
            }
        }
    }
    return size;
}

/* FOLDER TIMES: each file as it is, and changed so often. */
int main(int argc, char **argv)
{
    DIR *folder = argc == 3 ? opendir(argv[1]) : NULL;
    static unsigned char original[MOST_INPUT], data[2 * MOST_INPUT];
    unsigned long files = 0, runs = 0;
    if (folder == NULL)
        return 2;
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", argv[1], entry->d_name);
        FILE *file = entry->d_name[0] == '.' ? NULL : fopen(path, "rb");
        if (file == NULL)
            continue;
        size_t size = fread(original, 1, MOST_INPUT / 4, file);
        fclose(file);
        files++;
        for (long n = -1; n < atol(argv[2]); n++, runs++) {
            memcpy(data, original, size);
            size_t now = n < 0 ? size : changed(data, size);
            unsigned char *exact = malloc(now == 0 ? 1 : now);
            if (exact == NULL)
                return 2;
            memcpy(exact, data, now);
            LLVMFuzzerTestOneInput(exact, now);
            free(exact);
        }
    }
    closedir(folder);
    printf("%lu files, %lu runs\n", files, runs);
    return files == 0;
}
#endif
