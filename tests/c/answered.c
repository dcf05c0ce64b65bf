/* A host with an engine that answers anything at all: answered LIBRARY SEED CASES. When it asks for slot 424242 the
 * engine is replaced by a good one, with which everything must work again.
 */
#include "arguments.h"

enum { REPLACE = 424242 };

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    word count = strtoul(argv[3], NULL, 10);
    word info[64];
    CK_ULONG slots = 0;
    struct arena *arena = calloc(1, sizeof *arena);
    if (arena == NULL)
        return 2;
    arena->state = strtoul(argv[2], NULL, 10) + 1;
    find_functions(argv[1]);
    expect("C_Initialize", CALL(C_Initialize, 0), CKR_OK);
    for (word i = 0; i < count; i++)
        random_call(arena, false);
    for (int i = 0; i < 100 && slots != 1; i++) {
        (void)CALL(C_GetSlotInfo, REPLACE, (word)info);
        (void)CALL(C_GetSlotList, 0, 0, (word)&slots);
    }
    expect("a good engine: C_GetSlotList", CALL(C_GetSlotList, 0, 0, (word)&slots), CKR_OK);
    expect("a good engine: C_GetTokenInfo", CALL(C_GetTokenInfo, 0, (word)info), CKR_OK);
    expect("a good engine: C_OpenSession",
           CALL(C_OpenSession, 0, CKF_SERIAL_SESSION, 0, 0, (word)sessions), CKR_OK);
    expect("C_Finalize", CALL(C_Finalize, 0), CKR_OK);
    free(arena);
    printf("answered: %lu calls, %lu succeeded, %lu wrong\n", atomic_load(&cases), atomic_load(&succeeded),
           atomic_load(&wrong));
    return atomic_load(&wrong) == 0 ? 0 : 1;
}
