/* How a program finds the functions: the table of 2.40 for ever by C_GetFunctionList, and the interfaces of 3.0 and
 * 3.2 by C_GetInterface and C_GetInterfaceList (PKCS#11 3.2, section 5.4). None needs C_Initialize.
 *
 * CKF_INTERFACE_FORK_SAFE is not set: it promises a child copies of sessions and logins.
 */
#include <string.h>

#include "pkcs11.h"
#include "state.h"

extern CK_FUNCTION_LIST adyton_functions_2_40;
extern CK_FUNCTION_LIST_3_0 adyton_functions_3_0;
extern CK_FUNCTION_LIST_3_2 adyton_functions_3_2;

static CK_UTF8CHAR interface_name[] = "PKCS 11";

enum { DEFAULT_INTERFACE, INTERFACE_3_0, INTERFACE_2_40, INTERFACE_COUNT };

static CK_INTERFACE interfaces[INTERFACE_COUNT] = {
    [DEFAULT_INTERFACE] = {interface_name, &adyton_functions_3_2, 0},
    [INTERFACE_3_0] = {interface_name, &adyton_functions_3_0, 0},
    [INTERFACE_2_40] = {interface_name, &adyton_functions_2_40, 0},
};

/* Every function list starts with its version. The functions of 3.1 are those of 3.0. */
static CK_INTERFACE *interface_of_version(const CK_VERSION *version)
{
    if (version == NULL)
        return &interfaces[DEFAULT_INTERFACE];
    if (version->major == 3 && version->minor == 1)
        return &interfaces[INTERFACE_3_0];
    for (int i = 0; i < INTERFACE_COUNT; i++) {
        const CK_VERSION *own = interfaces[i].pFunctionList;
        if (own->major == version->major && own->minor == version->minor)
            return &interfaces[i];
    }
    return NULL;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **ppFunctionList)
{
    if (ppFunctionList == NULL)
        return CKR_ARGUMENTS_BAD;
    *ppFunctionList = &adyton_functions_2_40;
    return CKR_OK;
}

CK_RV C_GetInterfaceList(CK_INTERFACE *pInterfacesList, CK_ULONG *pulCount)
{
    if (pulCount == NULL)
        return CKR_ARGUMENTS_BAD;
    CK_ULONG room = *pulCount;
    *pulCount = INTERFACE_COUNT;
    if (pInterfacesList == NULL)
        return CKR_OK;
    if (room < INTERFACE_COUNT)
        return CKR_BUFFER_TOO_SMALL;
    memcpy(pInterfacesList, interfaces, sizeof interfaces);
    return CKR_OK;
}

CK_RV C_GetInterface(CK_UTF8CHAR *pInterfaceName, CK_VERSION *pVersion, CK_INTERFACE **ppInterface,
                     CK_FLAGS flags)
{
    if (ppInterface == NULL)
        return CKR_ARGUMENTS_BAD;
    if (pInterfaceName != NULL && strcmp((const char *)pInterfaceName, (const char *)interface_name) != 0)
        return CKR_FUNCTION_FAILED;
    CK_INTERFACE *found = interface_of_version(pVersion);
    if (found == NULL || (found->flags & flags) != flags)
        return CKR_FUNCTION_FAILED;
    *ppInterface = found;
    return CKR_OK;
}
