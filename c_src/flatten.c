/* Arguments to bytes and bytes to arguments. Nothing is copied before its length is known to fit; an answer that
 * says more than the caller has room for is a broken engine, never a write out of bounds.
 */
#define _GNU_SOURCE
#include "flatten.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MOST_ENTRIES = 256, MOST_ROWS = 4096, DEEPEST = 2, ENTRY = sizeof(CK_ATTRIBUTE) };
enum row_kind { NOTHING, BYTES, ROWS };
enum mechanism_kind { NO_MECHANISM, NO_PARAMETER, RAW_PARAMETER };
enum message_kind { OTHER_MESSAGE, GCM_MESSAGE };
enum { LONGEST_IV = 256, MOST_TAG_BITS = 128 };

void adyton_refuse(struct adyton_call *call, CK_RV why)
{
    if (call->failed == CKR_OK)
        call->failed = why;
}

/* Room for `more` bytes in the request; what the old buffer held is wiped. */
static bool grow(struct adyton_call *call, size_t more, CK_RV too_long)
{
    if (call->failed != CKR_OK)
        return false;
    if (more > (size_t)ADYTON_MOST_REQUEST - call->length) {
        call->failed = too_long;
        return false;
    }
    if (call->length + more <= call->capacity)
        return true;
    size_t capacity = (call->length + more) * 2;
    unsigned char *data = malloc(capacity);
    if (data == NULL) {
        call->failed = CKR_HOST_MEMORY;
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

static void append(struct adyton_call *call, const void *bytes, size_t length, CK_RV too_long)
{
    if (length == 0 || !grow(call, length, too_long))
        return;
    memcpy(call->data + call->length, bytes, length);
    call->length += length;
}

void adyton_put_raw(struct adyton_call *call, const void *bytes, size_t length)
{
    append(call, bytes, length, CKR_ARGUMENTS_BAD);
}

void adyton_put_u8(struct adyton_call *call, unsigned char value)
{
    append(call, &value, 1, CKR_ARGUMENTS_BAD);
}

void adyton_put_u64(struct adyton_call *call, uint64_t value)
{
    append(call, &value, sizeof value, CKR_ARGUMENTS_BAD);
}

void adyton_put_room(struct adyton_call *call, const void *out, const CK_ULONG *room)
{
    if (out == NULL)
        adyton_put_u64(call, ADYTON_NULL);
    else
        adyton_put_u64(call, *room == ADYTON_NULL ? ADYTON_NULL - 1 : *room);
}

void adyton_put_bytes(struct adyton_call *call, const void *bytes, CK_ULONG length, CK_RV too_long)
{
    if (bytes == NULL) {
        if (length != 0)
            adyton_refuse(call, CKR_ARGUMENTS_BAD);
        adyton_put_u64(call, ADYTON_NULL);
        return;
    }
    adyton_put_u64(call, length);
    append(call, bytes, length, too_long);
}

/* Whether the kernel can read a number at `address`. With no meaning in its first argument rt_sigprocmask(2) changes
 * nothing: EINVAL, or EFAULT before that. Every sandbox allows it, unlike calls that are for reading memory. */
static bool readable(CK_ULONG address)
{
    _Static_assert(_NSIG / 8 >= sizeof address, "the kernel's set of signals is what it reads");
    return syscall(SYS_rt_sigprocmask, -1, address, NULL, (size_t)_NSIG / 8) != 0 && errno == EINVAL;
}

/* The sanitizers would ask whether the memory is the program's, and of what is no address of one that faults. */
__attribute__((no_sanitize("address", "undefined"))) static CK_ULONG number_at(CK_ULONG address)
{
    typedef CK_ULONG anywhere __attribute__((aligned(1), may_alias));
    return *(const volatile anywhere *)address;
}

/* CK_PKCS5_PBKD2_PARAMS of PKCS#11 2.40 (its chapter on PKCS #5) points to the password's length, CK_PKCS5_PBKD2_PARAMS2
 * has it there; both are of one size, and NSS sends the first. What is no length by far is taken for an address. */
void adyton_put_password(struct adyton_call *call, const void *password, CK_ULONG length)
{
    if (length > ADYTON_MOST_REQUEST && readable(length))
        length = number_at(length);
    adyton_put_bytes(call, password, length, CKR_MECHANISM_PARAM_INVALID);
}

bool adyton_put_count(struct adyton_call *call, const void *rows, CK_ULONG count)
{
    if ((rows == NULL && count != 0) || count > MOST_ENTRIES)
        adyton_refuse(call, CKR_ARGUMENTS_BAD);
    adyton_put_u64(call, count);
    return call->failed == CKR_OK;
}

static bool nests(CK_ATTRIBUTE_TYPE type)
{
    return type == CKA_WRAP_TEMPLATE || type == CKA_UNWRAP_TEMPLATE || type == CKA_DERIVE_TEMPLATE;
}

static void put_rows(struct adyton_call *call, const CK_ATTRIBUTE *rows, CK_ULONG count, int depth, CK_ULONG *left);

static void put_row(struct adyton_call *call, const CK_ATTRIBUTE *row, int depth, CK_ULONG *left)
{
    adyton_put_u64(call, row->type);
    if (row->pValue == NULL) {
        if (row->ulValueLen != 0)
            adyton_refuse(call, CKR_ATTRIBUTE_VALUE_INVALID);
        adyton_put_u8(call, NOTHING);
    } else if ((row->type & CKF_ARRAY_ATTRIBUTE) != 0 && row->type != CKA_ALLOWED_MECHANISMS && !nests(row->type)) {
        /* An array of what we don't know, perhaps of addresses; the engine doesn't know the type either. */
        adyton_put_u8(call, BYTES);
        adyton_put_bytes(call, row->pValue, 0, CKR_ATTRIBUTE_VALUE_INVALID);
    } else if (nests(row->type)) {
        /* A length that is no whole number of attributes: those bytes would be addresses of this process. */
        if (row->ulValueLen % ENTRY != 0 || row->ulValueLen / ENTRY > MOST_ENTRIES || depth == DEEPEST)
            adyton_refuse(call, CKR_ATTRIBUTE_VALUE_INVALID);
        else
            put_rows(call, row->pValue, row->ulValueLen / ENTRY, depth + 1, left);
    } else {
        adyton_put_u8(call, BYTES);
        adyton_put_bytes(call, row->pValue, row->ulValueLen, CKR_ATTRIBUTE_VALUE_INVALID);
    }
}

/* `left`: how many rows a template may still have, those of its arrays counted in. */
static void put_rows(struct adyton_call *call, const CK_ATTRIBUTE *rows, CK_ULONG count, int depth, CK_ULONG *left)
{
    if (depth > 0)
        adyton_put_u8(call, ROWS);
    if (count <= MOST_ENTRIES && count > *left)
        adyton_refuse(call, CKR_ATTRIBUTE_VALUE_INVALID);
    if (!adyton_put_count(call, rows, count))
        return;
    *left -= count;
    for (CK_ULONG i = 0; i < count && call->failed == CKR_OK; i++)
        put_row(call, &rows[i], depth, left);
}

void adyton_put_template(struct adyton_call *call, const CK_ATTRIBUTE *rows, CK_ULONG count)
{
    CK_ULONG left = MOST_ROWS;
    put_rows(call, rows, count, 0, &left);
}

/* What an earlier call could not tell is no room, though as a number it is the largest. */
static CK_ULONG room_of(const CK_ATTRIBUTE *row)
{
    return row->ulValueLen == CK_UNAVAILABLE_INFORMATION ? 0 : row->ulValueLen;
}

/* Types and the room for their values. What lies in an array of attributes is not looked at: section 5.7.5 has the
 * types there ignored, so that nothing tells which of its values are arrays again. */
void adyton_put_query(struct adyton_call *call, const CK_ATTRIBUTE *rows, CK_ULONG count)
{
    if (!adyton_put_count(call, rows, count))
        return;
    for (CK_ULONG i = 0; i < count; i++) {
        adyton_put_u64(call, rows[i].type);
        adyton_put_u8(call, rows[i].pValue != NULL);
        adyton_put_u64(call, room_of(&rows[i]));
    }
}

/* A parameter travels if the table of parameters knows its form. Of any other only its being there is told: bytes of
 * unknown form may be addresses of this process. */
void adyton_put_mechanism(struct adyton_call *call, const CK_MECHANISM *mechanism)
{
    if (mechanism == NULL) {
        adyton_put_u8(call, NO_MECHANISM);
        adyton_put_u64(call, 0);
        return;
    }
    if (mechanism->pParameter == NULL || mechanism->ulParameterLen == 0) {
        if (mechanism->ulParameterLen != 0)
            adyton_refuse(call, CKR_MECHANISM_PARAM_INVALID);
        adyton_put_u8(call, NO_PARAMETER);
        adyton_put_u64(call, mechanism->mechanism);
        return;
    }
    CK_RV before = call->failed;
    adyton_put_parameter(call, mechanism);
    if (before == CKR_OK && call->failed != CKR_OK && call->failed != CKR_HOST_MEMORY)
        call->failed = CKR_MECHANISM_PARAM_INVALID; /* whatever a pointer or a length inside was wrong for */
}

void adyton_put_raw_parameter(struct adyton_call *call, const CK_MECHANISM *mechanism, CK_ULONG length)
{
    adyton_put_u8(call, RAW_PARAMETER);
    adyton_put_u64(call, mechanism->mechanism);
    adyton_put_bytes(call, mechanism->pParameter, length, CKR_MECHANISM_PARAM_INVALID);
}

void adyton_put_message_mechanism(struct adyton_call *call, const CK_MECHANISM *mechanism)
{
    adyton_put_u8(call, mechanism == NULL ? NO_MECHANISM : NO_PARAMETER);
    adyton_put_u64(call, mechanism == NULL ? 0 : mechanism->mechanism);
}

/* A copy of CK_GCM_MESSAGE_PARAMS, wherever the caller has it; false where the length is not that of one. */
static bool gcm_message(CK_GCM_MESSAGE_PARAMS *said, const void *parameter, CK_ULONG length)
{
    if (parameter == NULL || length != sizeof *said)
        return false;
    memcpy(said, parameter, sizeof *said);
    return said->ulIvLen <= LONGEST_IV && said->ulTagBits <= MOST_TAG_BITS;
}

static CK_ULONG bytes_of(CK_ULONG bits)
{
    return (bits + 7) / 8;
}

void adyton_put_message(struct adyton_call *call, const void *parameter, CK_ULONG length, bool has_tag)
{
    CK_GCM_MESSAGE_PARAMS said;
    if (!gcm_message(&said, parameter, length) || (said.pIv == NULL && said.ulIvLen != 0)) {
        adyton_put_u8(call, OTHER_MESSAGE);
        return;
    }
    adyton_put_u8(call, GCM_MESSAGE);
    adyton_put_bytes(call, said.pIv, said.ulIvLen, CKR_MECHANISM_PARAM_INVALID);
    adyton_put_u64(call, said.ulIvFixedBits);
    adyton_put_u64(call, said.ivGenerator);
    adyton_put_u64(call, said.ulTagBits);
    if (has_tag)
        adyton_put_bytes(call, said.pTag, said.pTag == NULL ? 0 : bytes_of(said.ulTagBits), CKR_MECHANISM_PARAM_INVALID);
    else
        adyton_put_u8(call, said.pTag != NULL);
}

/* ---- answers ---- */

/* `out` NULL passes over the bytes. */
static bool take(struct adyton_answer *answer, void *out, uint64_t length)
{
    if (length > answer->left)
        return false;
    if (length != 0 && out != NULL)
        memcpy(out, answer->at, length);
    answer->at += length;
    answer->left -= length;
    return true;
}

static bool take_u8(struct adyton_answer *answer, unsigned char *value)
{
    return take(answer, value, sizeof *value);
}

bool adyton_get_u64(struct adyton_answer *answer, CK_ULONG *value)
{
    return take(answer, value, sizeof *value);
}

/* A length, and items of `size` if the caller gave room for them and it was enough. */
static bool get_items(struct adyton_answer *answer, void *out, CK_ULONG *count, size_t size)
{
    uint64_t said;
    unsigned char present;
    if (!adyton_get_u64(answer, &said) || !take_u8(answer, &present) || present > 1)
        return false;
    if (present && (out == NULL || said > *count || said > answer->left / size))
        return false;
    if (!present && out != NULL && said != 0 && answer->rv == CKR_OK)
        return false; /* no bytes, and yet no word of too little room */
    *count = said;
    return !present || take(answer, out, said * size);
}

bool adyton_get_out(struct adyton_answer *answer, CK_BYTE *out, CK_ULONG *length)
{
    return get_items(answer, out, length, sizeof *out);
}

/* Bytes for a place that has room for just so many, or none. */
static bool get_place(struct adyton_answer *answer, CK_BYTE *place, CK_ULONG room)
{
    uint64_t said;
    if (!adyton_get_u64(answer, &said))
        return false;
    return said == 0 || (place != NULL && said == room && take(answer, place, said));
}

bool adyton_get_message(struct adyton_answer *answer, const void *parameter, CK_ULONG length)
{
    CK_GCM_MESSAGE_PARAMS said;
    if (!gcm_message(&said, parameter, length))
        said = (CK_GCM_MESSAGE_PARAMS){0};
    return get_place(answer, said.pIv, said.ulIvLen) && get_place(answer, said.pTag, bytes_of(said.ulTagBits));
}

bool adyton_get_ulongs(struct adyton_answer *answer, CK_ULONG *out, CK_ULONG *count)
{
    return get_items(answer, out, count, sizeof *out);
}

bool adyton_get_exact(struct adyton_answer *answer, void *out, CK_ULONG length)
{
    uint64_t said;
    return adyton_get_u64(answer, &said) && said == length && take(answer, out, length);
}

bool adyton_get_found(struct adyton_answer *answer, CK_ULONG *out, CK_ULONG most, CK_ULONG *count)
{
    uint64_t said;
    if (!adyton_get_u64(answer, &said) || said > most || said > answer->left / sizeof *out)
        return false;
    *count = said;
    return take(answer, out, said * sizeof *out);
}

/* The rows of an attribute array, into the caller's rows (NULL: they are passed over). Each type is set; a value without
 * a pointer is asked for its size; one without room makes the call CKR_BUFFER_TOO_SMALL. So does an array within the
 * array: nothing says that the caller keeps attributes there, whose pointers could be followed, and not bytes. */
static bool get_rows(struct adyton_answer *answer, CK_ATTRIBUTE *rows, uint64_t count, int depth)
{
    for (uint64_t i = 0; i < count; i++) {
        uint64_t type;
        uint64_t length;
        unsigned char kind;
        if (!adyton_get_u64(answer, &type) || !adyton_get_u64(answer, &length) || !take_u8(answer, &kind))
            return false;
        CK_ATTRIBUTE *row = rows == NULL ? NULL : &rows[i];
        bool asked = row != NULL && row->pValue != NULL;
        bool fits = asked && kind == BYTES && length <= room_of(row);
        if (row != NULL) {
            row->type = type;
            row->ulValueLen = asked && !fits ? CK_UNAVAILABLE_INFORMATION : length;
        }
        if (asked && !fits && answer->rv == CKR_OK)
            answer->rv = CKR_BUFFER_TOO_SMALL;
        if (kind == ROWS && length % ENTRY == 0 && depth < DEEPEST) {
            if (!get_rows(answer, NULL, length / ENTRY, depth + 1))
                return false;
        } else if (kind != BYTES || !take(answer, fits ? row->pValue : NULL, length)) {
            return false;
        }
    }
    return true;
}

bool adyton_get_query(struct adyton_answer *answer, CK_ATTRIBUTE *rows, CK_ULONG count)
{
    uint64_t said;
    if (!adyton_get_u64(answer, &said) || said != count)
        return false;
    for (CK_ULONG i = 0; i < count; i++) {
        uint64_t length;
        unsigned char kind;
        if (!adyton_get_u64(answer, &length) || !take_u8(answer, &kind) || kind > ROWS)
            return false;
        if (kind != NOTHING && (rows[i].pValue == NULL || length > room_of(&rows[i])))
            return false;
        if (kind != NOTHING && (kind == ROWS) != nests(rows[i].type))
            return false; /* bytes over the caller's pointers, or bytes of the caller's for pointers */
        rows[i].ulValueLen = length;
        if (kind == BYTES && !take(answer, rows[i].pValue, length))
            return false;
        if (kind == ROWS && (length % ENTRY != 0 || !get_rows(answer, rows[i].pValue, length / ENTRY, 1)))
            return false;
    }
    return true;
}
