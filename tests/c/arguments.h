/* Arguments of every kind for every function, and the judgement of what comes back.
 *
 * A caller of C can keep one promise only, and these keep it: a pointer with a length that could be true points to
 * that many bytes.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pkcs11.h"

enum { FUNCTIONS = 104, MOST_ARGUMENTS = 10, ROWS = 8, CELLS = 8192, ROOM = 65536, VALUE = 4096 };

typedef CK_ULONG word;
/* Every argument is a word in a register or a slot of the stack, so any function may be called as this one. */
typedef CK_RV (*any_function)(word, word, word, word, word, word, word, word, word, word);

struct function {
    const char *name;
    const char *kinds; /* a letter an argument: see argument() */
    bool served;       /* its arguments travel; else it answers CKR_FUNCTION_NOT_SUPPORTED to anything */
};

/* What one thread's arguments are made of. */
struct arena {
    uint64_t state;
    unsigned char bytes[4][ROOM];
    unsigned char values[ROWS][VALUE];
    CK_ATTRIBUTE rows[3][ROWS];
    CK_ULONG cells[MOST_ARGUMENTS][CELLS];
    CK_MECHANISM mechanism;
    uint64_t parameter[64];
    CK_RSA_PKCS_OAEP_PARAMS oaep;
    CK_PRF_DATA_PARAM prf[4];
};

static const word ABSURD[] = {~0UL, ~0UL - 1, 1UL << 63, (1UL << 63) - 1, 1UL << 61, 1UL << 60, 1UL << 32,
                              (1UL << 32) - 1, 1UL << 31, (1UL << 31) - 1, (1UL << 26) + 1};

static any_function tables[4][FUNCTIONS];
static int table_sizes[4] = {68, 92, FUNCTIONS, FUNCTIONS};
static CK_SESSION_HANDLE sessions[2];
static CK_OBJECT_HANDLE keys[2];
static atomic_ulong cases, succeeded, wrong;
static atomic_ulong seen[1024]; /* by code */

static uint64_t random_u64(struct arena *a)
{
    a->state ^= a->state >> 12;
    a->state ^= a->state << 25;
    a->state ^= a->state >> 27;
    return a->state * 2685821657736338717ULL;
}

static word below(struct arena *a, word limit)
{
    return random_u64(a) % limit;
}

static bool one_in(struct arena *a, word n)
{
    return below(a, n) == 0;
}

static word absurd(struct arena *a)
{
    return ABSURD[below(a, sizeof ABSURD / sizeof ABSURD[0])];
}

static word number(struct arena *a)
{
    return one_in(a, 3) ? absurd(a) : one_in(a, 2) ? below(a, 300) : random_u64(a);
}

/* A pointer to bytes and a length: never one that could be true and is not. */
static void *some_bytes(struct arena *a, word *length)
{
    if (one_in(a, 4)) {
        *length = one_in(a, 2) ? 0 : number(a);
        return NULL;
    }
    *length = one_in(a, 6) ? absurd(a) : below(a, one_in(a, 8) ? VALUE : 200);
    return a->values[below(a, ROWS)];
}

#include "functions.inc" /* written by tests/sanitized.py from the declarations */

static void judge(const char *what, const char *name, bool right, CK_RV rv)
{
    if (!right && atomic_fetch_add(&wrong, 1) < 20)
        fprintf(stderr, "abuse: %s: %s answered 0x%lx\n", what, name, rv);
}

static void expect(const char *what, CK_RV rv, CK_RV right)
{
    judge("expected otherwise", what, rv == right, rv);
}

static CK_RV call(int table, int function, const word *w)
{
    atomic_fetch_add(&cases, 1);
    CK_RV rv = tables[table][function](w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7], w[8], w[9]);
    atomic_fetch_add(&succeeded, rv == CKR_OK);
    atomic_fetch_add(&seen[rv % 1024], 1);
    return rv;
}

static int named(const char *name)
{
    for (int i = 0; i < FUNCTIONS; i++)
        if (strcmp(functions[i].name, name) == 0)
            return i;
    abort();
}

#define CALL(name, ...) call(3, named(#name), (word[MOST_ARGUMENTS]){__VA_ARGS__})

/* ---- arguments ---- */

static word some_rows(struct arena *a, int depth, bool query, word *count)
{
    if (one_in(a, 8)) {
        *count = one_in(a, 2) ? 0 : number(a);
        return 0;
    }
    CK_ATTRIBUTE *rows = a->rows[depth];
    for (int i = 0; i < ROWS; i++) {
        CK_ATTRIBUTE *row = &rows[i];
        row->type = one_in(a, 8) ? random_u64(a) : attributes[below(a, sizeof attributes / sizeof attributes[0])];
        bool nests = row->type == CKA_WRAP_TEMPLATE || row->type == CKA_UNWRAP_TEMPLATE ||
                     row->type == CKA_DERIVE_TEMPLATE;
        if (!nests) {
            row->pValue = some_bytes(a, &row->ulValueLen);
            continue;
        }
        word inner = 0;
        row->pValue = depth < 2 ? (void *)some_rows(a, depth + 1, query, &inner) : query ? NULL : rows;
        row->ulValueLen = one_in(a, 8) ? inner * sizeof *row + 1 + below(a, 20) : inner * sizeof *row;
        if (depth == 2 || (!query && one_in(a, 8))) {
            row->pValue = query ? NULL : rows; /* itself */
            row->ulValueLen = sizeof a->rows[0];
        }
        if (query && row->pValue != NULL)
            row->ulValueLen = sizeof a->rows[0];
        if (row->pValue != NULL && row->ulValueLen > sizeof a->rows[0] && row->ulValueLen < 1UL << 31)
            row->ulValueLen = sizeof a->rows[0];
    }
    *count = one_in(a, 10) ? absurd(a) : below(a, ROWS + 1);
    return (word)rows;
}

static const struct parameter *form_of(word mechanism)
{
    for (size_t i = 0; i < sizeof parameters / sizeof parameters[0]; i++)
        if (parameters[i].mechanism == mechanism)
            return &parameters[i];
    return NULL;
}

static word some_mechanism(struct arena *a)
{
    if (one_in(a, 12))
        return 0;
    CK_MECHANISM *m = &a->mechanism;
    m->mechanism = one_in(a, 4)   ? random_u64(a)
                   : one_in(a, 3) ? mechanisms[below(a, sizeof mechanisms / sizeof mechanisms[0])]
                                  : parameters[below(a, sizeof parameters / sizeof parameters[0])].mechanism;
    const struct parameter *form = form_of(m->mechanism);
    m->pParameter = a->parameter;
    m->ulParameterLen = one_in(a, 8) ? absurd(a) : below(a, sizeof a->parameter + 1);
    if (one_in(a, 4)) {
        m->pParameter = NULL;
        m->ulParameterLen = one_in(a, 2) ? 0 : m->ulParameterLen;
    } else if (form != NULL && one_in(a, 2)) {
        m->ulParameterLen = form->size;
        form->fill(a);
    } else if (form != NULL && m->ulParameterLen == form->size) {
        m->ulParameterLen++; /* as long as the structure, it would have to be one */
    }
    return (word)m;
}

/* The parameter of a message, mostly CK_GCM_MESSAGE_PARAMS: what is as long as that has to be one. */
static word some_message(struct arena *a, word *length)
{
    CK_GCM_MESSAGE_PARAMS *p = (void *)a->parameter;
    p->pIv = some_bytes(a, &p->ulIvLen);
    if (one_in(a, 2))
        p->ulIvLen = p->pIv == NULL ? p->ulIvLen : 12;
    p->ulIvFixedBits = one_in(a, 2) ? 0 : number(a);
    p->ivGenerator = one_in(a, 4) ? number(a) : below(a, 6);
    p->pTag = one_in(a, 6) ? NULL : a->bytes[below(a, 4)];
    p->ulTagBits = one_in(a, 4) ? number(a) : 8 * below(a, 17);
    *length = one_in(a, 6) ? number(a) : sizeof *p;
    return one_in(a, 8) ? 0 : (word)p;
}

static word pick(struct arena *a, const word *mine, word count)
{
    return one_in(a, 6) ? number(a) : mine[below(a, count)];
}

/* The argument at `i`; w[i + 1] too where it is the length of what is at `i`. */
static void argument(struct arena *a, const char *kinds, int i, word *w)
{
    char next = kinds[i + 1];
    switch (kinds[i]) {
    case 's':
        w[i] = pick(a, sessions, 2);
        return;
    case 'h':
        w[i] = pick(a, keys, 2);
        return;
    case 't':
        w[i] = one_in(a, 2) ? 0 : number(a);
        return;
    case 'm':
        w[i] = some_mechanism(a);
        return;
    case 'p':
        w[i] = some_message(a, &w[i + 1]);
        return;
    case 'a':
    case 'q':
        w[i] = some_rows(a, 0, kinds[i] == 'q', &w[i + 1]);
        return;
    case 'b':
        if (next == 'l') {
            w[i] = (word)some_bytes(a, &w[i + 1]);
            if (w[i] != 0 && one_in(a, 2))
                w[i] = (word)a->bytes[below(a, 4)]; /* perhaps where the output goes */
        } else {
            w[i] = one_in(a, 6) ? 0 : (word)a->bytes[below(a, 4)];
        }
        return;
    case 'L':
        w[i] = one_in(a, 10) ? 0 : (word)a->cells[i];
        a->cells[i][0] = one_in(a, 6) ? absurd(a) : one_in(a, 3) ? 0 : below(a, CELLS);
        return;
    case 'l':
        if (i == 0 || strchr("baqp", kinds[i - 1]) == NULL)
            w[i] = kinds[i - 1] == 'L' && !one_in(a, 6) ? below(a, CELLS) : number(a);
        return;
    case 'i':
        w[i] = one_in(a, 6) ? 0 : (word)a->bytes[below(a, 4)];
        return;
    default: /* numbers, and pointers that nobody may follow */
        w[i] = one_in(a, 2) ? 0 : number(a);
    }
}

static bool changes_life(const char *name)
{
    return strcmp(name, "C_Initialize") == 0 || strcmp(name, "C_Finalize") == 0;
}

static bool looks_local(const char *name)
{
    return strncmp(name, "C_GetInterface", 14) == 0 || strcmp(name, "C_GetFunctionList") == 0;
}

static bool known_code(CK_RV rv)
{
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (codes[i] == rv)
            return true;
    return false;
}

/* What is given room for by the last argument: the one before it, or the one before that (C_FindObjects); else -1. */
static int output_of(const char *kinds)
{
    int last = (int)strlen(kinds) - 1;
    if (last < 1 || kinds[last] != 'L')
        return -1;
    if (kinds[last - 1] == 'b' || strcmp(kinds, "nLL") == 0 || strcmp(kinds, "tLL") == 0)
        return last - 1;
    return strcmp(kinds, "sLlL") == 0 ? last - 2 : -1;
}

/* The count of an answer is of what came: no more than there was room for, or than an answer holds. */
static void judge_count(const char *name, const char *kinds, const word *w, word room, CK_RV rv)
{
    int output = output_of(kinds);
    int last = (int)strlen(kinds) - 1;
    if (output < 0 || w[output] == 0 || w[last] == 0 || rv != CKR_OK)
        return;
    CK_ULONG said = *(CK_ULONG *)w[last];
    room = output == last - 2 ? w[last - 1] : room;
    judge("a wrong count", name, said <= room && said <= 1UL << 26, said);
}

static void random_call(struct arena *a, bool settled)
{
    int table = (int)below(a, 4);
    int f = (int)below(a, (word)table_sizes[table]);
    if (changes_life(functions[f].name) || looks_local(functions[f].name))
        return;
    word w[MOST_ARGUMENTS + 1] = {0};
    for (int i = 0; functions[f].kinds[i] != '\0'; i++)
        argument(a, functions[f].kinds, i, w);
    if (strcmp(functions[f].name, "C_WaitForSlotEvent") == 0)
        w[0] |= CKF_DONT_BLOCK; /* else it waits for ever, as it should */
    word room = a->cells[strlen(functions[f].kinds) == 0 ? 0 : strlen(functions[f].kinds) - 1][0];
    CK_RV rv = call(table, f, w);
    judge_count(functions[f].name, functions[f].kinds, w, room, rv);
    judge("no code of the standard", functions[f].name, known_code(rv), rv);
    if (!settled)
        return;
    judge("a code for faults", functions[f].name,
          rv != CKR_GENERAL_ERROR && rv != CKR_DEVICE_ERROR && rv != CKR_DEVICE_REMOVED && rv != CKR_HOST_MEMORY &&
              rv != CKR_CRYPTOKI_NOT_INITIALIZED, rv);
    if (!functions[f].served)
        judge("not served", functions[f].name, rv == CKR_FUNCTION_NOT_SUPPORTED, rv);
}

/* ---- finding the functions ---- */

static void find_functions(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        fprintf(stderr, "abuse: %s\n", dlerror());
        exit(2);
    }
    for (int i = 0; i < FUNCTIONS; i++)
        *(void **)&tables[3][i] = dlsym(library, functions[i].name);
    CK_FUNCTION_LIST *list = NULL;
    CK_INTERFACE *interface = NULL;
    expect("C_GetFunctionList", CALL(C_GetFunctionList, (word)&list), CKR_OK);
    memcpy(tables[0], &list->C_Initialize, 68 * sizeof(any_function));
    for (int minor = 0; minor <= 2; minor += 2) {
        CK_VERSION version = {3, (CK_BYTE)minor};
        expect("C_GetInterface", CALL(C_GetInterface, 0, (word)&version, (word)&interface, 0), CKR_OK);
        CK_FUNCTION_LIST_3_2 *whole = interface->pFunctionList;
        memcpy(tables[1 + minor / 2], &whole->C_Initialize, (size_t)table_sizes[1 + minor / 2] * sizeof(any_function));
    }
    for (int table = 0; table < 4; table++)
        for (int i = 0; i < table_sizes[table]; i++)
            judge("a table", functions[i].name, tables[table][i] != NULL && tables[table][i] == tables[3][i], 0);
    expect("C_GetFunctionList", CALL(C_GetFunctionList, 0), CKR_ARGUMENTS_BAD);
    expect("C_GetInterfaceList", CALL(C_GetInterfaceList, 0, 0), CKR_ARGUMENTS_BAD);
    expect("C_GetInterface", CALL(C_GetInterface, 0, 0, 0, 0), CKR_ARGUMENTS_BAD);
    expect("C_GetInterface", CALL(C_GetInterface, (word)"PKCS 12", 0, (word)&interface, 0), CKR_FUNCTION_FAILED);
}
