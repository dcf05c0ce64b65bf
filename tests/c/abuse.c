/* A host that gives the library everything but what it asks for: abuse LIBRARY SEED CASES.
 *
 * All functions, by name and through the three tables: null pointers, absurd lengths and counts, odd parameters,
 * nested and self-referencing templates, one buffer for input and output, many threads on one session, C_Finalize
 * and forks at any moment. Every answer is judged as far as the right one is certain.
 */
#include "arguments.h"

#include <pthread.h>
#include <sys/wait.h>

enum { THREADS = 8 };

static atomic_ulong forks, rounds;
static atomic_bool stop;

/* ---- the token ---- */

static void log_in(void)
{
    const char *pin = getenv("ADYTON_PIN");
    static CK_BBOOL yes = 1;
    static CK_BBOOL no = 0;
    static CK_ULONG length = 32;
    CK_MECHANISM make = {CKM_AES_KEY_GEN, NULL, 0};
    CK_MECHANISM gcm = {CKM_AES_GCM, NULL, 0};
    CK_ATTRIBUTE rows[] = {{CKA_VALUE_LEN, &length, sizeof length}, {CKA_TOKEN, &no, 1}, {CKA_ENCRYPT, &yes, 1},
                           {CKA_DECRYPT, &yes, 1}};
    for (int i = 0; i < 2; i++) {
        CK_SESSION_HANDLE opened = 0;
        if (CALL(C_OpenSession, 0, CKF_SERIAL_SESSION | CKF_RW_SESSION, 0, 0, (word)&opened) == CKR_OK)
            sessions[i] = opened;
        (void)CALL(C_Login, sessions[i], CKU_USER, (word)pin, strlen(pin));
        (void)CALL(C_GenerateKey, sessions[i], (word)&make, (word)rows, 4, (word)&keys[i]);
        /* Into a process of messages, so that what comes at random meets one. */
        (void)CALL(C_MessageEncryptInit, sessions[i], (word)&gcm, keys[i]);
        (void)CALL(C_MessageDecryptInit, sessions[i], (word)&gcm, keys[i]);
    }
}

/* ---- what is certain ---- */

static void nothing_before_initialize(void)
{
    word nothing[MOST_ARGUMENTS] = {0};
    for (int f = 0; f < FUNCTIONS; f++)
        if (strcmp(functions[f].name, "C_Initialize") != 0 && !looks_local(functions[f].name))
            expect(functions[f].name, call(3, f, nothing), CKR_CRYPTOKI_NOT_INITIALIZED);
}

static bool too_long(CK_RV rv)
{
    return rv == CKR_ARGUMENTS_BAD || rv == CKR_DATA_LEN_RANGE || rv == CKR_ENCRYPTED_DATA_LEN_RANGE ||
           rv == CKR_PIN_LEN_RANGE || rv == CKR_WRAPPED_KEY_LEN_RANGE || rv == CKR_SIGNATURE_LEN_RANGE ||
           rv == CKR_SAVED_STATE_INVALID || rv == CKR_MECHANISM_PARAM_INVALID;
}

/* One bad argument at a time, all others as they should be. */
static void certain_answers(struct arena *a)
{
    CK_MECHANISM cbc = {CKM_AES_CBC, a->values[0], 16};
    for (int f = 0; f < FUNCTIONS; f++) {
        const char *kinds = functions[f].kinds;
        if (!functions[f].served || changes_life(functions[f].name) || looks_local(functions[f].name))
            continue;
        for (int bad = 0; kinds[bad] != '\0'; bad++) {
            bool sized = kinds[bad + 1] == 'l' && strchr("baq", kinds[bad]) != NULL;
            for (size_t size = 0; size < (sized ? sizeof ABSURD / sizeof ABSURD[0] : 1); size++) {
                for (int with_pointer = 0; with_pointer < (sized ? 2 : 1); with_pointer++) {
                    word w[MOST_ARGUMENTS + 1] = {0};
                    for (int i = 0; kinds[i] != '\0'; i++) {
                        a->cells[i][0] = 16;
                        w[i] = kinds[i] == 's'   ? sessions[0]
                               : kinds[i] == 'm' ? (word)&cbc
                               : kinds[i] == 'L' ? (word)a->cells[i]
                               : kinds[i] == 'b' || kinds[i] == 'i' ? (word)a->bytes[0]
                                                                    : 0;
                    }
                    if (kinds[bad] != 'L' && kinds[bad] != 'i' && !sized)
                        continue;
                    if (kinds[bad] == 'L' && kinds[bad + 1] != '\0' && strchr("Ll", kinds[bad + 1]) != NULL)
                        continue; /* an array that may be absent */
                    w[bad] = with_pointer ? kinds[bad] == 'b' ? (word)a->bytes[0] : (word)a->rows[0] : 0;
                    if (sized)
                        w[bad + 1] = ABSURD[size];
                    CK_RV rv = call(3, f, w);
                    judge("one bad argument", functions[f].name,
                          rv == CKR_ARGUMENTS_BAD || (with_pointer && too_long(rv)), rv);
                }
            }
        }
    }
}

static void in_place(struct arena *a)
{
    CK_MECHANISM cbc = {CKM_AES_CBC_PAD, a->values[1], 16};
    unsigned char *buffer = a->bytes[0];
    CK_ULONG length = ROOM;
    memset(buffer, 'x', 1000);
    expect("C_EncryptInit", CALL(C_EncryptInit, sessions[0], (word)&cbc, keys[0]), CKR_OK);
    expect("C_Encrypt in place", CALL(C_Encrypt, sessions[0], (word)buffer, 1000, (word)buffer, (word)&length), CKR_OK);
    expect("C_DecryptInit", CALL(C_DecryptInit, sessions[0], (word)&cbc, keys[0]), CKR_OK);
    CK_ULONG back = ROOM;
    expect("C_Decrypt in place", CALL(C_Decrypt, sessions[0], (word)buffer, length, (word)buffer, (word)&back), CKR_OK);
    judge("in place", "the text", back == 1000 && buffer[0] == 'x' && buffer[999] == 'x', back);
}

/* A call that is refused ends the operation all the same (section 5.2). */
static void refused_calls_end_operations(struct arena *a)
{
    CK_MECHANISM sha = {CKM_SHA256, NULL, 0};
    CK_ULONG length = ROOM;
    for (int i = 0; i < 3; i++) {
        expect("C_DigestInit", CALL(C_DigestInit, sessions[0], (word)&sha), CKR_OK);
        if (i == 0)
            expect("C_DigestUpdate", CALL(C_DigestUpdate, sessions[0], 0, 5), CKR_ARGUMENTS_BAD);
        else if (i == 1)
            expect("C_DigestFinal", CALL(C_DigestFinal, sessions[0], (word)a->bytes[0], 0), CKR_ARGUMENTS_BAD);
        else
            expect("C_Digest", CALL(C_Digest, sessions[0], (word)a->bytes[0], ~0UL, (word)a->bytes[1], (word)&length),
                   CKR_ARGUMENTS_BAD);
        expect("C_DigestFinal", CALL(C_DigestFinal, sessions[0], (word)a->bytes[0], (word)&length),
               CKR_OPERATION_NOT_INITIALIZED);
    }
}

/* ---- many at once ---- */

struct worker {
    pthread_t thread;
    struct arena *arena;
    word count;
};

static void *calls_on_one_session(void *given)
{
    struct worker *worker = given;
    for (word i = 0; i < worker->count; i++)
        random_call(worker->arena, true);
    return NULL;
}

static void *starts_and_ends(void *given)
{
    struct worker *worker = given;
    word info[64];
    for (word i = 0; i < worker->count; i++) {
        CK_RV rv;
        switch (below(worker->arena, 4)) {
        case 0:
            rv = CALL(C_Initialize, 0);
            judge("racing", "C_Initialize", rv == CKR_OK || rv == CKR_CRYPTOKI_ALREADY_INITIALIZED, rv);
            break;
        case 1:
            rv = CALL(C_Finalize, 0);
            judge("racing", "C_Finalize", rv == CKR_OK || rv == CKR_CRYPTOKI_NOT_INITIALIZED, rv);
            break;
        case 2:
            rv = CALL(C_GetTokenInfo, 0, (word)info);
            judge("racing", "C_GetTokenInfo",
                  rv == CKR_OK || rv == CKR_CRYPTOKI_NOT_INITIALIZED || rv == CKR_DEVICE_REMOVED, rv);
            break;
        default:
            random_call(worker->arena, false);
        }
        atomic_fetch_add(&rounds, 1);
    }
    return NULL;
}

static void *calls_until_stopped(void *given)
{
    struct worker *worker = given;
    while (!atomic_load(&stop))
        random_call(worker->arena, true);
    return NULL;
}

static void in_threads(struct arena *arenas, void *(*work)(void *), word count, void (*meanwhile)(void))
{
    struct worker workers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        workers[i].arena = &arenas[i];
        workers[i].count = count;
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
            abort();
    }
    if (meanwhile != NULL)
        meanwhile();
    for (int i = 0; i < THREADS; i++)
        (void)pthread_join(workers[i].thread, NULL);
}

static int in_the_child(void)
{
    CK_ULONG count = 0;
    (void)alarm(60);
    if (CALL(C_GetSlotList, 0, 0, (word)&count) != CKR_CRYPTOKI_NOT_INITIALIZED)
        return 1;
    if (CALL(C_Initialize, 0) != CKR_OK)
        return 2;
    if (CALL(C_GetSlotList, 0, 0, (word)&count) != CKR_OK || count != 1)
        return 3;
    return CALL(C_Finalize, 0) == CKR_OK ? 0 : 4;
}

static void fork_often(void)
{
    for (int i = 0; i < 30; i++) {
        pid_t child = fork();
        if (child == 0)
            _exit(in_the_child());
        int status = -1;
        (void)waitpid(child, &status, 0);
        judge("a forked child", "status", status == 0, (CK_RV)status);
        atomic_fetch_add(&forks, 1);
    }
    atomic_store(&stop, true);
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    word seed = strtoul(argv[2], NULL, 10);
    word count = strtoul(argv[3], NULL, 10);
    struct arena *arenas = calloc(THREADS, sizeof *arenas);
    for (int i = 0; arenas != NULL && i < THREADS; i++)
        arenas[i].state = (seed + 1) * 1000003 + (word)i;
    find_functions(argv[1]);
    nothing_before_initialize();
    expect("C_Initialize", CALL(C_Initialize, 0), CKR_OK);
    log_in();
    certain_answers(arenas);
    in_place(arenas);
    refused_calls_end_operations(arenas);
    for (word i = 0; i < count / 2; i++) {
        if (i % 100 == 0)
            log_in();
        random_call(arenas, true);
    }
    log_in();
    in_threads(arenas, calls_on_one_session, count / 2 / THREADS, NULL);
    log_in();
    in_threads(arenas, calls_until_stopped, 0, fork_often);
    in_threads(arenas, starts_and_ends, count / 20 / THREADS + 20, NULL);
    (void)CALL(C_Finalize, 0);
    nothing_before_initialize();
    free(arenas);
    int different = 0;
    for (int i = 0; i < 1024; i++)
        different += atomic_load(&seen[i]) != 0;
    printf("abuse: %lu calls of %d functions, seed %lu: %lu succeeded, %d different codes, %lu wrong; %lu forks, "
           "%lu rounds of start and end\n",
           atomic_load(&cases), FUNCTIONS, seed, atomic_load(&succeeded), different, atomic_load(&wrong),
           atomic_load(&forks), atomic_load(&rounds));
    return atomic_load(&wrong) == 0 ? 0 : 1;
}
