/* What the engine says of its slots and their mechanisms, read where it wrote it: in the page that it alone can write
 * (hsm/epoch.py), behind the epoch. Clients ask for up to 70 mechanisms a run; none of that needs a trip.
 *
 * The engine makes the sequence odd, writes, and makes it even, before it answers what changed a slot; what was read
 * counts if the sequence is even and the same before and after. So nothing here is older than any change that somebody
 * has been told of. An engine that was killed tells nobody: hence the look at the control connection. Whatever is not
 * found here, is not whole or makes no sense, the engine is asked for; it also gives the reasons of its refusals.
 */
#define _GNU_SOURCE
#include "catalog.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "pkcs11.h"
#include "control.h"

enum { GET_SLOT_LIST = 4, GET_SLOT_INFO = 5, GET_MECHANISM_LIST = 7, GET_MECHANISM_INFO = 8 };
enum { SEQUENCE = 8, LENGTH = 16, BEGIN = 64, ATTEMPTS = 3, MOST = 1 << 20 };
enum { SLOTS = BEGIN, LISTS = BEGIN + 8, FIRST = BEGIN + 16 };
enum { SLOT_ROW = 16 + sizeof(CK_SLOT_INFO), LIST_ROW = 16, MECHANISM_ROW = 8 + sizeof(CK_MECHANISM_INFO) };

_Static_assert(SLOT_ROW % 8 == 0 && MECHANISM_ROW % 8 == 0, "rows of whole words");

/* Guarded by the state's lock. */
static const _Atomic uint64_t *page;
static size_t page_size;

void adyton_catalog_forget(void)
{
    if (page != NULL)
        (void)munmap((void *)page, page_size);
    page = NULL;
    page_size = 0;
}

/* A page that could shrink would end the host by SIGBUS: without its seal it is not mapped. */
void adyton_catalog_page(int fd)
{
    struct stat status;
    int seals = fcntl(fd, F_GET_SEALS);
    adyton_catalog_forget();
    if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || fstat(fd, &status) != 0 || status.st_size <= BEGIN)
        return;
    size_t size = status.st_size > MOST ? (size_t)MOST : (size_t)status.st_size;
    void *mapped = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    if (mapped != MAP_FAILED) {
        page = mapped;
        page_size = size;
    }
}

/* The word at `at`; what the page doesn't hold is 0, which no count and no place of the catalog's rows survives. */
static uint64_t word(uint64_t at)
{
    if (at % 8 != 0 || at > page_size || page_size - at < 8)
        return 0;
    return atomic_load_explicit(&page[at / 8], memory_order_relaxed);
}

static void words(uint64_t at, void *out, size_t size)
{
    for (size_t done = 0; done < size; done += 8) {
        uint64_t value = word(at + done);
        memcpy((unsigned char *)out + done, &value, 8);
    }
}

/* `count` if so many rows lie in the page from `at` on, else 0. */
static uint64_t rows(uint64_t at, uint64_t count, size_t size)
{
    return at <= page_size && count <= (page_size - at) / size ? count : 0;
}

static uint64_t slots(void)
{
    return rows(FIRST, word(SLOTS), SLOT_ROW);
}

/* The place of the row of `size` bytes that begins with `number`, among rows in rising order; 0 for none. */
static uint64_t find(uint64_t at, uint64_t count, size_t size, uint64_t number)
{
    while (count > 0) {
        uint64_t middle = at + count / 2 * size;
        uint64_t found = word(middle);
        if (found == number)
            return middle;
        if (found < number) {
            at = middle + size;
            count -= count / 2 + 1;
        } else {
            count /= 2;
        }
    }
    return 0;
}

struct list {
    uint64_t at, count;
};

static struct list mechanisms(uint64_t slot)
{
    uint64_t row = find(FIRST, slots(), SLOT_ROW, slot);
    uint64_t table = FIRST + slots() * SLOT_ROW;
    uint64_t lists = rows(table, word(LISTS), LIST_ROW);
    uint64_t index = row == 0 ? lists : word(row + 8);
    if (index >= lists)
        return (struct list){0, 0};
    uint64_t at = BEGIN + word(table + index * LIST_ROW);
    return (struct list){at, rows(at, word(table + index * LIST_ROW + 8), MECHANISM_ROW)};
}

static void put(unsigned char **at, uint64_t value)
{
    memcpy(*at, &value, sizeof value);
    *at += sizeof value;
}

/* As the engine answers an array: count, whether the items come, items. 0: ask the engine. */
static size_t numbers(struct list list, size_t size, uint64_t room, unsigned char *out, size_t most, CK_RV *rv)
{
    bool asked = room != UINT64_MAX;
    bool given = asked && room >= list.count;
    if (9 + 8 * list.count > most)
        return 0;
    put(&out, list.count);
    *out++ = given;
    for (uint64_t i = 0; given && i < list.count; i++)
        put(&out, word(list.at + i * size));
    *rv = asked && !given ? CKR_BUFFER_TOO_SMALL : CKR_OK;
    return 9 + (given ? 8 * (size_t)list.count : 0);
}

static size_t structure(uint64_t at, size_t size, unsigned char *out, size_t most, CK_RV *rv)
{
    if (at == 0 || 8 + size > most)
        return 0;
    put(&out, size);
    words(at, out, size);
    *rv = CKR_OK;
    return 8 + size;
}

/* One look, which may have been cut through by a change. */
static size_t look(unsigned function, const unsigned char *given, unsigned char *out, size_t most, CK_RV *rv)
{
    uint64_t first = adyton_get_number(given, 8);
    if (function == GET_SLOT_LIST)
        return slots() == 0 ? 0
                            : numbers((struct list){FIRST, slots()}, SLOT_ROW, adyton_get_number(given + 8, 8), out,
                                      most, rv);
    if (function == GET_SLOT_INFO) {
        uint64_t row = find(FIRST, slots(), SLOT_ROW, first);
        return structure(row == 0 ? 0 : row + 16, sizeof(CK_SLOT_INFO), out, most, rv);
    }
    struct list list = mechanisms(first);
    uint64_t second = adyton_get_number(given + 8, 8);
    if (list.count == 0)
        return 0;
    if (function == GET_MECHANISM_LIST)
        return numbers(list, MECHANISM_ROW, second, out, most, rv);
    uint64_t row = find(list.at, list.count, MECHANISM_ROW, second);
    return structure(row == 0 ? 0 : row + 8, sizeof(CK_MECHANISM_INFO), out, most, rv);
}

static bool engine_is_there(void)
{
    char nothing;
    if (!adyton_still_ours(&adyton_state.control))
        return false;
    return recv(adyton_state.control.fd, &nothing, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
           (errno == EAGAIN || errno == EINTR);
}

size_t adyton_catalog_answers(unsigned function, const unsigned char *given, size_t length, unsigned char *out,
                              size_t most, CK_RV *rv)
{
    if (function < GET_SLOT_LIST || function > GET_MECHANISM_INFO || function == GET_MECHANISM_LIST - 1)
        return 0;
    if (length != (function == GET_SLOT_INFO ? 8 : 16))
        return 0;
    size_t answered = 0;
    int cancellation; /* a thread cancelled at recv() would keep the lock for ever */
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancellation);
    (void)pthread_mutex_lock(&adyton_state.lock);
    bool there = page != NULL && atomic_load(&adyton_state.initialised) && engine_is_there();
    for (int i = 0; there && i < ATTEMPTS && answered == 0; i++) {
        uint64_t before = atomic_load_explicit(&page[SEQUENCE / 8], memory_order_acquire);
        if (before % 2 != 0 || word(LENGTH) == 0)
            continue;
        answered = look(function, given, out, most, rv);
        atomic_thread_fence(memory_order_acquire);
        if (atomic_load_explicit(&page[SEQUENCE / 8], memory_order_relaxed) != before)
            answered = 0;
    }
    (void)pthread_mutex_unlock(&adyton_state.lock);
    (void)pthread_setcancelstate(cancellation, NULL);
    return answered;
}
