/* A PKCS#11 program that measures: any module by path, through the public functions alone.
 *
 *   client MODULE prepare LABEL SO-PIN PIN     initialise a token, make the keys that the operations use
 *   client MODULE fill LABEL PIN FIRST COUNT   make data objects, labels object-FIRST and on
 *   client MODULE first                        milliseconds from C_Initialize to the first slot list
 *   client MODULE signature LABEL PIN          milliseconds from main to the first P-256 signature, login included
 *   client MODULE hold LABEL PIN SESSIONS      log in, open sessions, say so, stay until standard input ends
 *   client MODULE run LABEL PIN OPERATION SIZE SECONDS THREADS PROCESSES SESSIONS
 *                                              calls per second, median and 99th percentile in microseconds
 *
 * Each prints one line of numbers, which tools/benchmark/modules.py reads. Exits with 1 and the code of the call that
 * failed, with 3 where the module doesn't list the operation's mechanism.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

CK_FUNCTION_LIST *p11;
CK_SLOT_ID slot;

double since(const struct timespec *start)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

void check(const char *call, CK_RV rv)
{
    if (rv == CKR_OK)
        return;
    (void)fprintf(stderr, "%s: 0x%lx\n", call, rv);
    exit(1);
}

void load(const char *path)
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
void choose_slot(const char *label)
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

CK_SESSION_HANDLE open_session(void)
{
    CK_SESSION_HANDLE session;
    check("C_OpenSession", p11->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session));
    return session;
}

void login(CK_SESSION_HANDLE session, CK_USER_TYPE user, const char *pin)
{
    check("C_Login", p11->C_Login(session, user, (CK_UTF8CHAR *)pin, strlen(pin)));
}

CK_ULONG find(CK_SESSION_HANDLE session, CK_ATTRIBUTE *rows, CK_ULONG count, CK_OBJECT_HANDLE *found)
{
    CK_ULONG many;
    check("C_FindObjectsInit", p11->C_FindObjectsInit(session, rows, count));
    check("C_FindObjects", p11->C_FindObjects(session, found, 1, &many));
    check("C_FindObjectsFinal", p11->C_FindObjectsFinal(session));
    return many;
}

CK_OBJECT_HANDLE key_named(CK_SESSION_HANDLE session, CK_ULONG class, const char *label)
{
    CK_ATTRIBUTE rows[] = {{CKA_CLASS, &class, sizeof class}, {CKA_LABEL, (void *)label, strlen(label)}};
    CK_OBJECT_HANDLE key;
    if (find(session, rows, 2, &key) != 1) {
        (void)fprintf(stderr, "no key %s\n", label);
        exit(1);
    }
    return key;
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
    make_keys(session);
}

static void fill(CK_SESSION_HANDLE session, long first, long count)
{
    static CK_BBOOL yes = CK_TRUE;
    static CK_BBOOL no = CK_FALSE;
    CK_ULONG class = CKO_DATA;
    for (long i = first; i < first + count; i++) {
        char label[32];
        int length = snprintf(label, sizeof label, "object-%06ld", i);
        CK_ATTRIBUTE row[] = {{CKA_CLASS, &class, sizeof class}, {CKA_TOKEN, &yes, 1}, {CKA_PRIVATE, &no, 1},
                              {CKA_LABEL, label, (CK_ULONG)length}, {CKA_VALUE, label, (CK_ULONG)length}};
        CK_OBJECT_HANDLE made;
        check("C_CreateObject", p11->C_CreateObject(session, row, 5, &made));
    }
}

static void first_signature(const char *label, const char *pin, const struct timespec *begun)
{
    choose_slot(label);
    CK_SESSION_HANDLE session = open_session();
    login(session, CKU_USER, pin);
    CK_MECHANISM mechanism = {CKM_ECDSA, NULL, 0};
    CK_BYTE data[32] = {1};
    CK_BYTE signature[128];
    CK_ULONG length = sizeof signature;
    check("C_SignInit", p11->C_SignInit(session, &mechanism, key_named(session, CKO_PRIVATE_KEY, "p256")));
    check("C_Sign", p11->C_Sign(session, data, sizeof data, signature, &length));
    (void)printf("%.3f\n", 1e3 * since(begun));
}

static void hold(int sessions)
{
    for (int i = 1; i < sessions; i++)
        (void)open_session();
    (void)printf("in\n");
    (void)fflush(stdout);
    (void)getchar();
}

int main(int argc, char **argv)
{
    struct timespec begun;
    (void)clock_gettime(CLOCK_MONOTONIC, &begun);
    if (argc < 3) {
        (void)fprintf(stderr, "see the head of client.c\n");
        return 2;
    }
    const char *act = argv[2];
    if (strcmp(act, "run") == 0 && argc == 11) {
        struct run run = {argv[1], argv[3], argv[4], operation_named(argv[5]), strtoul(argv[6], NULL, 10),
                          atof(argv[7]), atoi(argv[8]), atoi(argv[9]), atoi(argv[10])};
        return run.operation == NULL ? 2 : measure(&run);
    }
    load(argv[1]);
    if (strcmp(act, "first") == 0) {
        CK_ULONG count;
        check("C_GetSlotList", p11->C_GetSlotList(CK_TRUE, NULL, &count));
        (void)printf("%.3f\n", 1e3 * since(&begun));
    } else if (strcmp(act, "prepare") == 0 && argc == 6) {
        prepare(argv[3], argv[4], argv[5]);
    } else if (strcmp(act, "signature") == 0 && argc == 5) {
        first_signature(argv[3], argv[4], &begun);
    } else if (argc >= 6) {
        choose_slot(argv[3]);
        CK_SESSION_HANDLE session = open_session();
        login(session, CKU_USER, argv[4]);
        if (strcmp(act, "fill") == 0 && argc == 7)
            fill(session, atol(argv[5]), atol(argv[6]));
        else if (strcmp(act, "hold") == 0)
            hold(atoi(argv[5]));
    }
    check("C_Finalize", p11->C_Finalize(NULL));
    return 0;
}
