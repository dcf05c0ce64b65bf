/* A PKCS#11 program that measures: any module by path, through the public functions alone.
 *
 *   client MODULE prepare LABEL SO-PIN PIN     initialise a token, make an RSA-2048 and a P-256 key pair
 *   client MODULE fill LABEL PIN COUNT         make COUNT data objects, labels object-00000 and on
 *   client MODULE first                        milliseconds from C_Initialize to the first slot list
 *   client MODULE signature LABEL PIN          milliseconds from main to the first P-256 signature, login included
 *   client MODULE empty|rsa|ec|find LABEL PIN SECONDS THREADS
 *                                              calls per second, median and 99th percentile in microseconds
 *   client MODULE hold LABEL PIN               log in, say so, stay until standard input ends
 *
 * Each prints one line of numbers that tools/benchmark/measures.py reads. Exits with 1 and the code of the call that
 * failed.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pkcs11.h"

enum { MOST_THREADS = 16, SAMPLES = 1 << 20, WARM_UP = 20, FILLED = 10000 };

static CK_FUNCTION_LIST *p11;
static CK_SLOT_ID slot;
static struct timespec begun;

static double since(const struct timespec *start)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static void check(const char *call, CK_RV rv)
{
    if (rv == CKR_OK)
        return;
    (void)fprintf(stderr, "%s: 0x%lx\n", call, rv);
    exit(1);
}

static void load(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    CK_RV (*list)(CK_FUNCTION_LIST **) = NULL;
    if (library != NULL)
        *(void **)&list = dlsym(library, "C_GetFunctionList");
    if (list == NULL) {
        (void)fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    check("C_GetFunctionList", list(&p11));
    CK_C_INITIALIZE_ARGS arguments = {.flags = CKF_OS_LOCKING_OK};
    check("C_Initialize", p11->C_Initialize(&arguments));
}

/* The slot whose token has this label; NULL: the first one that is not initialised. */
static void choose_slot(const char *label)
{
    CK_SLOT_ID slots[64];
    CK_ULONG count = 64;
    check("C_GetSlotList", p11->C_GetSlotList(CK_TRUE, slots, &count));
    for (CK_ULONG i = 0; i < count; i++) {
        CK_TOKEN_INFO info;
        check("C_GetTokenInfo", p11->C_GetTokenInfo(slots[i], &info));
        bool made = (info.flags & CKF_TOKEN_INITIALIZED) != 0;
        slot = slots[i];
        if (label == NULL ? !made : made && memcmp(info.label, label, strlen(label)) == 0)
            return;
    }
    (void)fprintf(stderr, "no such token\n");
    exit(1);
}

static CK_SESSION_HANDLE open_session(void)
{
    CK_SESSION_HANDLE session;
    check("C_OpenSession", p11->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session));
    return session;
}

static void login(CK_SESSION_HANDLE session, CK_USER_TYPE user, const char *pin)
{
    check("C_Login", p11->C_Login(session, user, (CK_UTF8CHAR *)pin, strlen(pin)));
}

static CK_BBOOL yes = CK_TRUE;
static CK_BBOOL no = CK_FALSE;

static void make_pair(CK_SESSION_HANDLE session, CK_MECHANISM_TYPE type, const char *label, CK_ATTRIBUTE extra[2])
{
    CK_MECHANISM mechanism = {type, NULL, 0};
    CK_ATTRIBUTE name = {CKA_LABEL, (void *)label, strlen(label)};
    CK_ATTRIBUTE token = {CKA_TOKEN, &yes, 1};
    CK_ATTRIBUTE public_key[] = {name, token, {CKA_VERIFY, &yes, 1}, {CKA_PRIVATE, &no, 1}, extra[0], extra[1]};
    CK_ATTRIBUTE private_key[] = {name, token, {CKA_SIGN, &yes, 1}, {CKA_PRIVATE, &yes, 1}, {CKA_SENSITIVE, &yes, 1}};
    CK_ULONG given = extra[1].pValue == NULL ? 5 : 6;
    CK_OBJECT_HANDLE one;
    CK_OBJECT_HANDLE two;
    check("C_GenerateKeyPair",
          p11->C_GenerateKeyPair(session, &mechanism, public_key, given, private_key, 5, &one, &two));
}

static void prepare(const char *label, const char *so_pin, const char *pin)
{
    CK_UTF8CHAR padded[32];
    memset(padded, ' ', sizeof padded);
    memcpy(padded, label, strlen(label));
    choose_slot(NULL);
    check("C_InitToken", p11->C_InitToken(slot, (CK_UTF8CHAR *)so_pin, strlen(so_pin), padded));
    choose_slot(label); /* some modules move it */
    CK_SESSION_HANDLE session = open_session();
    login(session, CKU_SO, so_pin);
    check("C_InitPIN", p11->C_InitPIN(session, (CK_UTF8CHAR *)pin, strlen(pin)));
    check("C_Logout", p11->C_Logout(session));
    login(session, CKU_USER, pin);
    CK_ULONG bits = 2048;
    CK_BYTE exponent[] = {1, 0, 1};
    static CK_BYTE p256[] = {6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7};
    CK_ATTRIBUTE of_rsa[2] = {{CKA_MODULUS_BITS, &bits, sizeof bits}, {CKA_PUBLIC_EXPONENT, exponent, 3}};
    CK_ATTRIBUTE of_ec[2] = {{CKA_EC_PARAMS, p256, sizeof p256}, {0, NULL, 0}};
    make_pair(session, CKM_RSA_PKCS_KEY_PAIR_GEN, "rsa", of_rsa);
    make_pair(session, CKM_EC_KEY_PAIR_GEN, "ec", of_ec);
}

static void fill(CK_SESSION_HANDLE session, long count)
{
    CK_ULONG class = CKO_DATA;
    for (long i = 0; i < count; i++) {
        char label[32];
        int length = snprintf(label, sizeof label, "object-%05ld", i);
        CK_ATTRIBUTE row[] = {{CKA_CLASS, &class, sizeof class}, {CKA_TOKEN, &yes, 1}, {CKA_PRIVATE, &no, 1},
                              {CKA_LABEL, label, (CK_ULONG)length}, {CKA_VALUE, label, (CK_ULONG)length}};
        CK_OBJECT_HANDLE made;
        check("C_CreateObject", p11->C_CreateObject(session, row, 5, &made));
    }
}

static CK_ULONG find(CK_SESSION_HANDLE session, CK_ATTRIBUTE *rows, CK_ULONG count, CK_OBJECT_HANDLE *found)
{
    CK_ULONG many;
    check("C_FindObjectsInit", p11->C_FindObjectsInit(session, rows, count));
    check("C_FindObjects", p11->C_FindObjects(session, found, 1, &many));
    check("C_FindObjectsFinal", p11->C_FindObjectsFinal(session));
    return many;
}

static CK_OBJECT_HANDLE private_key(CK_SESSION_HANDLE session, const char *label)
{
    CK_ULONG class = CKO_PRIVATE_KEY;
    CK_ATTRIBUTE rows[] = {{CKA_CLASS, &class, sizeof class}, {CKA_LABEL, (void *)label, strlen(label)}};
    CK_OBJECT_HANDLE key;
    if (find(session, rows, 2, &key) != 1) {
        (void)fprintf(stderr, "no key %s\n", label);
        exit(1);
    }
    return key;
}

struct worker {
    const char *measure;
    double seconds;
    pthread_t thread;
    float *samples;
    long calls;
};

static void sign(CK_SESSION_HANDLE session, CK_MECHANISM_TYPE type, CK_OBJECT_HANDLE key, CK_BYTE *data, CK_ULONG size)
{
    CK_MECHANISM mechanism = {type, NULL, 0};
    CK_BYTE signature[512];
    CK_ULONG length = sizeof signature;
    check("C_SignInit", p11->C_SignInit(session, &mechanism, key));
    check("C_Sign", p11->C_Sign(session, data, size, signature, &length));
}

/* A DigestInfo of SHA-256, and as its last 32 bytes a digest for ECDSA. */
static CK_BYTE digest_info[51] = {0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 0x20};

static void once(const struct worker *worker, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, unsigned *seed)
{
    if (strcmp(worker->measure, "empty") == 0) {
        CK_SESSION_INFO info;
        check("C_GetSessionInfo", p11->C_GetSessionInfo(session, &info));
    } else if (strcmp(worker->measure, "rsa") == 0) {
        sign(session, CKM_RSA_PKCS, key, digest_info, sizeof digest_info);
    } else if (strcmp(worker->measure, "ec") == 0) {
        sign(session, CKM_ECDSA, key, digest_info + 19, 32);
    } else {
        char label[32];
        CK_ATTRIBUTE row = {CKA_LABEL, label, 0};
        CK_OBJECT_HANDLE found;
        row.ulValueLen = (CK_ULONG)snprintf(label, sizeof label, "object-%05d", rand_r(seed) % FILLED);
        if (find(session, &row, 1, &found) != 1)
            check("no object", CKR_OBJECT_HANDLE_INVALID);
    }
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    CK_SESSION_HANDLE session = open_session();
    bool signs = strcmp(worker->measure, "rsa") == 0 || strcmp(worker->measure, "ec") == 0;
    CK_OBJECT_HANDLE key = signs ? private_key(session, worker->measure) : 0;
    unsigned seed = (unsigned)(uintptr_t)worker;
    bool slow = strcmp(worker->measure, "find") == 0; /* a third of a second a call, in some modules */
    for (int i = 0; i < (slow ? 1 : WARM_UP); i++)
        once(worker, session, key, &seed);
    struct timespec start;
    (void)clock_gettime(CLOCK_MONOTONIC, &start);
    for (double before = 0, after; before < worker->seconds; before = after) {
        once(worker, session, key, &seed);
        after = since(&start);
        if (worker->calls < SAMPLES)
            worker->samples[worker->calls] = (float)(after - before);
        worker->calls++;
    }
    worker->seconds = since(&start);
    return NULL;
}

static int ascending(const void *a, const void *b)
{
    float one = *(const float *)a;
    float two = *(const float *)b;
    return (one > two) - (one < two);
}

static void measure(const char *name, double seconds, int threads)
{
    static struct worker workers[MOST_THREADS];
    double rate = 0;
    for (int i = 0; i < threads; i++) {
        workers[i] = (struct worker){.measure = name, .seconds = seconds, .samples = malloc(SAMPLES * sizeof(float))};
        if (workers[i].samples == NULL || pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
            exit(1);
    }
    for (int i = 0; i < threads; i++) {
        (void)pthread_join(workers[i].thread, NULL);
        rate += (double)workers[i].calls / workers[i].seconds;
    }
    long kept = workers[0].calls < SAMPLES ? workers[0].calls : SAMPLES;
    qsort(workers[0].samples, (size_t)kept, sizeof(float), ascending);
    (void)printf("%.1f %.2f %.2f\n", rate, 1e6 * (double)workers[0].samples[kept / 2],
                 1e6 * (double)workers[0].samples[kept * 99 / 100]);
}

static void first_signature(const char *label, const char *pin)
{
    choose_slot(label);
    CK_SESSION_HANDLE session = open_session();
    login(session, CKU_USER, pin);
    sign(session, CKM_ECDSA, private_key(session, "ec"), digest_info + 19, 32);
    (void)printf("%.3f\n", 1e3 * since(&begun));
}

int main(int argc, char **argv)
{
    (void)clock_gettime(CLOCK_MONOTONIC, &begun);
    if (argc < 3) {
        (void)fprintf(stderr, "see the head of client.c\n");
        return 2;
    }
    const char *act = argv[2];
    load(argv[1]);
    if (strcmp(act, "first") == 0) {
        CK_ULONG count;
        check("C_GetSlotList", p11->C_GetSlotList(CK_TRUE, NULL, &count));
        (void)printf("%.3f\n", 1e3 * since(&begun));
    } else if (strcmp(act, "prepare") == 0 && argc == 6) {
        prepare(argv[3], argv[4], argv[5]);
    } else if (strcmp(act, "signature") == 0 && argc == 5) {
        first_signature(argv[3], argv[4]);
    } else if (argc >= 5) {
        choose_slot(argv[3]);
        CK_SESSION_HANDLE session = open_session();
        login(session, CKU_USER, argv[4]);
        if (strcmp(act, "fill") == 0 && argc == 6)
            fill(session, atol(argv[5]));
        else if (strcmp(act, "hold") == 0)
            (void)(printf("in\n"), fflush(stdout), getchar());
        else if (argc == 7)
            measure(act, atof(argv[5]), atoi(argv[6]));
    }
    check("C_Finalize", p11->C_Finalize(NULL));
    return 0;
}
