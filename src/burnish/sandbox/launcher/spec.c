/* The description of the job: records of one letter, a length and that many bytes. */
#include "launcher.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct spec spec;

static void set(const char *name, const char *value) {
    struct { const char *name; int *to; } flags[] = {
        {"namespaces", &spec.namespaces}, {"confine", &spec.confine}, {"strict", &spec.strict}, {"network", &spec.network},
        {"report", &spec.report}, {"data", &spec.data},
    };
    struct { const char *name; long long *to; } counts[] = {
        {"memory_bytes", &spec.memory}, {"num_processes", &spec.processes},
        {"output_bytes", &spec.output}, {"file_bytes", &spec.file},
        {"num_files", &spec.open_files}, {"disk_bytes", &spec.disk},
    };
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (!strcmp(name, flags[i].name)) { *flags[i].to = atoi(value); return; }
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (!strcmp(name, counts[i].name)) { *counts[i].to = atoll(value); return; }
    if (!strcmp(name, "cpu_s")) spec.cpu_s = atof(value);
    else if (!strcmp(name, "wall_s")) spec.wall_s = atof(value);
    else if (!strcmp(name, "keep")) spec.keep = value;
    else if (!strcmp(name, "folder")) spec.folder = value;
    else if (!strcmp(name, "group") && spec.waited) return;
    else if (!strcmp(name, "group") && spec.num_groups < MAX_GROUPS)
        spec.groups[spec.num_groups++].parent = value;
    else _exit(121);
}

static int *count_of(char kind) {
    switch (kind) {
    case 'A': return &spec.num_argv;
    case 'E': return &spec.num_env;
    case 'F': case 'X': return &spec.num_files;
    case 'B': return &spec.num_binds;
    default: return NULL;
    }
}

/* Each text ends with a zero byte that the sender wrote; pairs are two texts, one after another. */
static void take(char kind, char *text, uint32_t size) {
    int *count = count_of(kind);
    char *second = text + strlen(text) + 1;
    if (count && *count >= MAX_ITEMS - 1) _exit(122);
    switch (kind) {
    case 'A': spec.argv[(*count)++] = text; break;
    case 'E': spec.env[(*count)++] = text; break;
    case 'B': spec.binds[(*count)++] = (struct bind){text, second}; break;
    case 'F': case 'X':
        spec.files[(*count)++] =
            (struct file){text, second, (size_t)(text + size - 1 - second), kind == 'X'};
        break;
    case 'O': set(text, second); break;
    default: _exit(121);
    }
}

static char *content;
static size_t content_size;

void forget_spec(void) {
    if (content) munmap(content, content_size);
    content = NULL;
    spec.num_argv = spec.num_env = spec.num_files = spec.num_binds = 0;
    if (!spec.waited) spec.num_groups = 0;
    spec.confine = spec.strict = spec.network = spec.report = spec.data = 0;
    spec.keep = spec.folder = NULL;
}

void read_spec(int fd) {
    struct stat info;
    if (fstat(fd, &info) || !info.st_size) _exit(120);
    char *at = mmap(NULL, info.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    if (at == MAP_FAILED) _exit(120);
    content = at;
    content_size = info.st_size;
    for (char *end = at + info.st_size; at < end;) {
        uint32_t size;
        char kind = *at;
        memcpy(&size, at + 1, sizeof size);
        if (at + 5 + size > end || !size || at[5 + size - 1]) _exit(122);
        take(kind, at + 5, size);
        at += 5 + size;
    }
    spec.argv[spec.num_argv] = spec.env[spec.num_env] = NULL; /* an earlier job may have had more */
}
