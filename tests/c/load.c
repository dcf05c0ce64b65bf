/* One application under load: some threads, each with a session of its own, make mixed calls at a pace until standard
 * input ends, and tell how long each took.
 *
 *     load MODULE PIN THREADS PAUSE_US
 *
 * Prints a line "ready" once all threads could be at work, which they are from the first byte of standard input on;
 * times count until the second. At the end there is one line a kind of call: its name, how many failed and the first such code, and the times in a histogram:
 * bucket n counts calls of less than 2^(n/4) us. The last kind, "wake", is no call, but how late the machine wakes a
 * thread that sleeps: what no engine can be quicker than. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "pkcs11.h"

enum { CALLS = 8, WAKE = CALLS, KINDS, BUCKETS = 100, MOST = 64 };
static const char *const names[KINDS] = {
    "info", "random", "digest", "find", "read", "mac", "sign", "object", "wake",
};
struct counts {
    unsigned long times[KINDS][BUCKETS], failed[KINDS];
    CK_RV first[KINDS];
};

static CK_FUNCTION_LIST *p11;
static CK_SESSION_HANDLE sessions[MOST];
static struct counts counted[MOST];
static atomic_bool over;
static atomic_int at_work, bytes;
static long pause_us;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static CK_RV find(CK_SESSION_HANDLE s, CK_ATTRIBUTE *rows, CK_ULONG count, CK_OBJECT_HANDLE *found)
{
    CK_ULONG n = 0;
    CK_RV rv = p11->C_FindObjectsInit(s, rows, count);
    if (rv != CKR_OK)
        return rv;
    rv = p11->C_FindObjects(s, found, 1, &n);
    CK_RV ended = p11->C_FindObjectsFinal(s);
    return rv != CKR_OK ? rv : ended != CKR_OK ? ended : n == 1 ? CKR_OK : CKR_OBJECT_HANDLE_INVALID;
}

static CK_RV by_label(CK_SESSION_HANDLE s, const char *label, CK_ULONG class, CK_OBJECT_HANDLE *found)
{
    CK_ATTRIBUTE rows[] = {{CKA_LABEL, (void *)label, strlen(label)}, {CKA_CLASS, &class, sizeof class}};
    return find(s, rows, 2, found);
}

/* A session object is made, and destroyed again. */
static CK_RV object(CK_SESSION_HANDLE s)
{
    CK_ULONG class = CKO_DATA;
    CK_BYTE value[100] = {0};
    CK_ATTRIBUTE rows[] = {{CKA_CLASS, &class, sizeof class}, {CKA_VALUE, value, sizeof value}};
    CK_OBJECT_HANDLE made;
    CK_RV rv = p11->C_CreateObject(s, rows, 2, &made);
    return rv != CKR_OK ? rv : p11->C_DestroyObject(s, made);
}

static CK_RV use(CK_SESSION_HANDLE s, int call, CK_OBJECT_HANDLE mac, CK_OBJECT_HANDLE signer, unsigned number)
{
    CK_BYTE data[32] = {1}, out[512];
    CK_ULONG size = sizeof out;
    char label[32];
    CK_MECHANISM digest = {CKM_SHA256, NULL, 0}, hmac = {CKM_SHA256_HMAC, NULL, 0}, ecdsa = {CKM_ECDSA, NULL, 0};
    CK_ATTRIBUTE row = {CKA_LABEL, label, sizeof label};
    CK_SESSION_INFO info;
    CK_OBJECT_HANDLE found;
    CK_RV rv;
    switch (call) {
    case 0:
        return p11->C_GetSessionInfo(s, &info);
    case 1:
        return p11->C_GenerateRandom(s, out, 16);
    case 2:
        rv = p11->C_DigestInit(s, &digest);
        return rv != CKR_OK ? rv : p11->C_Digest(s, data, sizeof data, out, &size);
    case 3:
        snprintf(label, sizeof label, "object-%u", number % 10000);
        row.ulValueLen = strlen(label);
        return find(s, &row, 1, &found);
    case 4:
        return p11->C_GetAttributeValue(s, mac, &row, 1);
    case 5:
        rv = p11->C_SignInit(s, &hmac, mac);
        return rv != CKR_OK ? rv : p11->C_Sign(s, data, sizeof data, out, &size);
    case 6:
        rv = p11->C_SignInit(s, &ecdsa, signer);
        return rv != CKR_OK ? rv : p11->C_Sign(s, data, sizeof data, out, &size);
    default:
        return object(s);
    }
}

static void timed(struct counts *mine, int kind, double took)
{
    int bucket = 0;
    for (double limit = 1; limit < took && bucket < BUCKETS - 1; limit *= 1.189207115)
        bucket++;
    mine->times[kind][bucket] += bytes == 1;
}

static void *work(void *argument)
{
    size_t me = (size_t)argument;
    struct counts *mine = &counted[me];
    unsigned seed = (unsigned)(me + 7919 * (unsigned)getpid());
    CK_OBJECT_HANDLE mac = 0, signer = 0;
    CK_RV rv = by_label(sessions[me], "load-mac", CKO_SECRET_KEY, &mac);
    rv = rv != CKR_OK ? rv : by_label(sessions[me], "load-signer", CKO_PRIVATE_KEY, &signer);
    if (rv != CKR_OK) {
        mine->failed[3]++;
        mine->first[3] = rv;
    }
    at_work++;
    while (bytes == 0)
        usleep(1000);
    for (;;) {
        long pause = pause_us / 2 + rand_r(&seed) % pause_us;
        double before = now();
        usleep((useconds_t)pause);
        if (over)
            return NULL;
        timed(mine, WAKE, now() - before - (double)pause);
        int call = rand_r(&seed) % CALLS;
        before = now();
        rv = use(sessions[me], call, mac, signer, (unsigned)rand_r(&seed));
        timed(mine, call, now() - before);
        if (rv != CKR_OK && mine->failed[call]++ == 0)
            mine->first[call] = rv;
    }
}

static void tell(int threads)
{
    for (int call = 0; call < KINDS; call++) {
        unsigned long failed = 0;
        CK_RV first = CKR_OK;
        printf("%s", names[call]);
        for (int t = 0; t < threads; t++) {
            failed += counted[t].failed[call];
            first = first != CKR_OK ? first : counted[t].first[call];
        }
        printf(" %lu %#lx", failed, first);
        for (int bucket = 0; bucket < BUCKETS; bucket++) {
            unsigned long sum = 0;
            for (int t = 0; t < threads; t++)
                sum += counted[t].times[call][bucket];
            printf(" %lu", sum);
        }
        printf("\n");
    }
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    int threads = atoi(argv[3]);
    pause_us = atol(argv[4]);
    void *library = dlopen(argv[1], RTLD_NOW);
    CK_RV (*list)(CK_FUNCTION_LIST **) = library ? (CK_RV (*)(CK_FUNCTION_LIST **))dlsym(library, "C_GetFunctionList") : NULL;
    CK_C_INITIALIZE_ARGS locking = {.flags = CKF_OS_LOCKING_OK};
    if (threads < 1 || threads > MOST || pause_us < 1 || !list || list(&p11) != CKR_OK || p11->C_Initialize(&locking) != CKR_OK)
        return 3;
    for (int t = 0; t < threads; t++)
        if (p11->C_OpenSession(0, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &sessions[t]) != CKR_OK)
            return 4;
    CK_RV rv = p11->C_Login(sessions[0], CKU_USER, (CK_UTF8CHAR *)argv[2], strlen(argv[2]));
    if (rv != CKR_OK) {
        fprintf(stderr, "C_Login: %#lx\n", rv);
        return 5;
    }
    pthread_t thread[MOST];
    for (int t = 0; t < threads; t++)
        if (pthread_create(&thread[t], NULL, work, (void *)(size_t)t) != 0)
            return 6;
    while (at_work < threads)
        usleep(1000);
    printf("ready\n");
    fflush(stdout);
    char byte;
    while (read(0, &byte, 1) > 0)
        bytes++;
    over = 1;
    bytes++;
    for (int t = 0; t < threads; t++)
        pthread_join(thread[t], NULL);
    tell(threads);
    return p11->C_Finalize(NULL) == CKR_OK ? 0 : 7;
}
