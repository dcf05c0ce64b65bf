/* Arguments to bytes and bytes to arguments. Nothing is copied before its length is known to fit; an answer that
 * says more than the caller has room for is a broken engine, never a write out of bounds.
 */
#define _GNU_SOURCE
#include "flatten.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_ENTRIES = 256, DEEPEST = 2, MOST_PARAMETER = 1 << 20, LARGEST = 64 << 20 };
enum { SESSION_CANCEL = 71 }; /* its place in the function list */

static bool grow(struct adyton_call *call, size_t more)
{
    if (call->failed)
        return false;
    if (more > (size_t)LARGEST - call->length) {
        call->failed = (int)CKR_DATA_LEN_RANGE;
        return false;
    }
    if (call->length + more <= call->capacity)
        return true;
    size_t capacity = (call->length + more) * 2;
    unsigned char *data = malloc(capacity);
    if (data == NULL) {
        call->failed = (int)CKR_HOST_MEMORY;
        return false;
    }
    memcpy(data, call->data, call->length);
    explicit_bzero(call->data, call->length);
    if (call->data != call->inline_buffer)
        free(call->data);
    call->data = data;
    call->capacity = capacity;
    return true;
}

void adyton_put_raw(struct adyton_call *call, const void *bytes, CK_ULONG length)
{
    if (length == 0 || !grow(call, length))
        return;
    memcpy(call->data + call->length, bytes, length);
    call->length += length;
}

void adyton_put_u8(struct adyton_call *call, unsigned char value)
{
    adyton_put_raw(call, &value, 1);
}

void adyton_put_u64(struct adyton_call *call, uint64_t value)
{
    adyton_put_raw(call, &value, sizeof value);
}

void adyton_put_bytes(struct adyton_call *call, const void *bytes, CK_ULONG length)
{
    if (bytes == NULL) {
        if (length != 0 && !call->failed)
            call->failed = (int)CKR_ARGUMENTS_BAD;
        adyton_put_u64(call, ADYTON_NULL);
        return;
    }
    adyton_put_u64(call, length);
    adyton_put_raw(call, bytes, length);
}

static bool nests(CK_ATTRIBUTE_TYPE type)
{
    return type == CKA_WRAP_TEMPLATE || type == CKA_UNWRAP_TEMPLATE || type == CKA_DERIVE_TEMPLATE;
}

static bool rows_fit(struct adyton_call *call, const CK_ATTRIBUTE *rows, CK_ULONG count, int depth)
{
    if ((rows == NULL && count != 0) || count > MOST_ENTRIES || depth > DEEPEST) {
        if (!call->failed)
            call->failed = (int)CKR_ARGUMENTS_BAD;
        return false;
    }
    adyton_put_u64(call, count);
    return true;
}

void adyton_put_template(struct adyton_call *call, const CK_ATTRIBUTE *rows, CK_ULONG count, int depth)
{
    if (!rows_fit(call, rows, count, depth))
        return;
    for (CK_ULONG i = 0; i < count; i++) {
        const CK_ATTRIBUTE *row = &rows[i];
        adyton_put_u64(call, row->type);
        if (row->pValue == NULL) {
            if (row->ulValueLen != 0 && !call->failed)
                call->failed = (int)CKR_ATTRIBUTE_VALUE_INVALID;
            adyton_put_u8(call, 0);
        } else if (nests(row->type) && row->ulValueLen % sizeof(CK_ATTRIBUTE) == 0) {
            adyton_put_u8(call, 2);
            adyton_put_template(call, row->pValue, row->ulValueLen / sizeof(CK_ATTRIBUTE), depth + 1);
        } else {
            adyton_put_u8(call, 1);
            adyton_put_bytes(call, row->pValue, row->ulValueLen);
        }
    }
}

void adyton_put_query(struct adyton_call *call, const CK_ATTRIBUTE *rows, CK_ULONG count, int depth)
{
    if (!rows_fit(call, rows, count, depth))
        return;
    for (CK_ULONG i = 0; i < count; i++) {
        const CK_ATTRIBUTE *row = &rows[i];
        /* Within an array the types come back, and what the caller has there is to be ignored (section 5.7.5). */
        CK_ATTRIBUTE_TYPE type = depth == 0 ? row->type : 0;
        adyton_put_u64(call, type);
        if (row->pValue != NULL && nests(type) && row->ulValueLen % sizeof(CK_ATTRIBUTE) == 0) {
            adyton_put_u8(call, 2);
            adyton_put_query(call, row->pValue, row->ulValueLen / sizeof(CK_ATTRIBUTE), depth + 1);
        } else {
            adyton_put_u8(call, row->pValue != NULL);
            adyton_put_u64(call, row->ulValueLen);
        }
    }
}

void adyton_put_mechanism(struct adyton_call *call, const CK_MECHANISM *mechanism)
{
    if (mechanism == NULL) {
        adyton_put_u8(call, 0);
        adyton_put_u64(call, 0);
    } else if (mechanism->pParameter == NULL) {
        if (mechanism->ulParameterLen != 0 && !call->failed)
            call->failed = (int)CKR_MECHANISM_PARAM_INVALID;
        adyton_put_u8(call, 1);
        adyton_put_u64(call, mechanism->mechanism);
    } else if (mechanism->ulParameterLen > MOST_PARAMETER) {
        if (!call->failed)
            call->failed = (int)CKR_MECHANISM_PARAM_INVALID;
    } else if (!adyton_put_parameter(call, mechanism)) {
        adyton_put_u8(call, 2);
        adyton_put_u64(call, mechanism->mechanism);
        adyton_put_bytes(call, mechanism->pParameter, mechanism->ulParameterLen);
    }
}

/* Errors end an operation, those that the engine never hears of included (section 5.8.2 and its like). */
void adyton_operation_over(CK_SESSION_HANDLE session, CK_FLAGS kind)
{
    struct adyton_call call;
    unsigned char const *answer;
    size_t length;
    if (adyton_begin(&call, SESSION_CANCEL) != CKR_OK)
        return;
    adyton_put_u64(&call, session);
    adyton_put_u64(&call, kind);
    (void)adyton_exchange(&call, &answer, &length);
    adyton_end(&call);
}

static bool take(struct adyton_answer *answer, void *out, size_t length)
{
    if (length > answer->left)
        return false;
    if (length != 0 && out != NULL)
        memcpy(out, answer->at, length);
    answer->at += length;
    answer->left -= length;
    return true;
}

bool adyton_get_u8(struct adyton_answer *answer, unsigned char *value)
{
    return take(answer, value, 1);
}

bool adyton_get_u64(struct adyton_answer *answer, uint64_t *value)
{
    return take(answer, value, sizeof *value);
}

bool adyton_get_out(struct adyton_answer *answer, CK_BYTE *out, CK_ULONG *length)
{
    uint64_t said;
    unsigned char present;
    if (!adyton_get_u64(answer, &said) || !adyton_get_u8(answer, &present))
        return false;
    if (present && (out == NULL || said > *length || !take(answer, out, said)))
        return false;
    *length = said;
    return true;
}

bool adyton_get_exact(struct adyton_answer *answer, void *out, CK_ULONG length)
{
    uint64_t said;
    return adyton_get_u64(answer, &said) && said == length && take(answer, out, length);
}

bool adyton_get_ulongs(struct adyton_answer *answer, CK_ULONG *out, CK_ULONG *count)
{
    uint64_t said;
    unsigned char present;
    if (!adyton_get_u64(answer, &said) || !adyton_get_u8(answer, &present))
        return false;
    if (present && (out == NULL || said > *count || !take(answer, out, said * sizeof *out)))
        return false;
    *count = said;
    return true;
}

bool adyton_get_found(struct adyton_answer *answer, CK_ULONG *out, CK_ULONG most, CK_ULONG *count)
{
    uint64_t said;
    if (!adyton_get_u64(answer, &said) || said > most || !take(answer, out, said * sizeof *out))
        return false;
    *count = said;
    return true;
}

bool adyton_get_query(struct adyton_answer *answer, CK_ATTRIBUTE *rows, CK_ULONG count, int depth)
{
    uint64_t said;
    if (depth > DEEPEST || !adyton_get_u64(answer, &said) || said != count)
        return false;
    for (CK_ULONG i = 0; i < count; i++) {
        uint64_t type = rows[i].type;
        uint64_t length;
        unsigned char kind;
        if (depth > 0 && !adyton_get_u64(answer, &type))
            return false;
        if (!adyton_get_u64(answer, &length) || !adyton_get_u8(answer, &kind) || kind > 2)
            return false;
        rows[i].type = type;
        if (kind == 1 && (rows[i].pValue == NULL || length > rows[i].ulValueLen || !take(answer, rows[i].pValue, length)))
            return false;
        if (kind == 2 && (rows[i].pValue == NULL || length > rows[i].ulValueLen ||
                          !adyton_get_query(answer, rows[i].pValue, length / sizeof(CK_ATTRIBUTE), depth + 1)))
            return false;
        rows[i].ulValueLen = length;
    }
    return true;
}
