/* "name = value" lines of a configuration file, read with a bounded buffer and no allocation. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "state.h"

enum { LARGEST_FILE = 64 * 1024 };

static char *trim(char *text)
{
    while (*text == ' ' || *text == '\t')
        text++;
    size_t length = strlen(text);
    while (length > 0 && (text[length - 1] == ' ' || text[length - 1] == '\t' || text[length - 1] == '\r'))
        text[--length] = '\0';
    return text;
}

static bool match(char *line, const char *name, char *value, size_t size)
{
    line[strcspn(line, "#")] = '\0';
    char *equals = strchr(line, '=');
    if (equals == NULL)
        return false;
    *equals = '\0';
    char *found = trim(equals + 1);
    if (strcmp(trim(line), name) != 0 || strlen(found) >= size || *found == '\0')
        return false;
    memcpy(value, found, strlen(found) + 1);
    return true;
}

bool adyton_setting(int folder, const char *file, const char *name, char *value, size_t size)
{
    static char text[LARGEST_FILE]; /* callers hold the library's lock */
    int fd = openat(folder, file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return false;
    size_t have = 0;
    ssize_t got;
    while (have < sizeof text - 1 && (got = read(fd, text + have, sizeof text - 1 - have)) > 0)
        have += (size_t)got;
    (void)close(fd);
    text[have] = '\0';
    char *rest = text;
    char *line;
    bool found = false;
    while (!found && (line = strsep(&rest, "\n")) != NULL)
        found = match(line, name, value, size);
    return found;
}
