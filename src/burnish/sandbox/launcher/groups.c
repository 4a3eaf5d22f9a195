/* Control groups of version 1 or 2, made for one job and removed after it. */
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LEFT_OVER (2 << 20)

static int write_to(const char *folder, const char *file, const char *text) {
    char path[768];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    ssize_t done = write(fd, text, strlen(text));
    close(fd);
    return done < 0 ? -1 : 0;
}

static int limit_group(const char *path) {
    char memory[32], processes[32];
    snprintf(memory, sizeof memory, "%lld", spec.memory + (1 << 20)); /* + the keeper */
    snprintf(processes, sizeof processes, "%lld", spec.processes + 1);
    int some = 0; /* each controller takes what it knows */
    if (!write_to(path, "memory.limit_in_bytes", memory)) some++;
    if (!write_to(path, "memory.max", memory)) {
        some++;
        write_to(path, "memory.swap.max", "0");
        write_to(path, "memory.oom.group", "1");
    }
    if (!write_to(path, "pids.max", processes)) some++;
    if (!access(path, F_OK) && strstr(path, "cpuacct")) some++;
    return some ? 0 : -1;
}

void make_groups(void) {
    for (int i = 0; i < spec.num_groups; i++) {
        struct control *group = &spec.groups[i];
        snprintf(group->path, sizeof group->path, "%s/burnish-%d", group->parent, getpid());
        if (mkdir(group->path, 0700) && errno != EEXIST) fail("control group");
    }
}

void limit_groups(void) {
    for (int i = 0; i < spec.num_groups; i++)
        if (limit_group(spec.groups[i].path)) fail("control group");
}

int join_groups(pid_t pid) {
    char text[32];
    snprintf(text, sizeof text, "%d", pid);
    for (int i = 0; i < spec.num_groups; i++)
        if (write_to(spec.groups[i].path, "cgroup.procs", text)) return -1;
    return 0;
}

void remove_groups(void) {
    for (int i = 0; i < spec.num_groups; i++) {
        int tries = 0; /* the last process may still be leaving */
        while (*spec.groups[i].path && rmdir(spec.groups[i].path) && errno == EBUSY)
            if (tries++ < 500) usleep(1000);
            else break;
    }
}

/* Only version 1 counts nothing but memory, so that an empty group without a kill is like new. */
void renew_groups(void) {
    long long used = group_value("memory.usage_in_bytes", NULL);
    if (used >= 0 && used < LEFT_OVER && group_value("memory.oom_control", "oom_kill") == 0) return;
    remove_groups();
    make_groups();
}

long long group_value(const char *file, const char *key) {
    for (int i = 0; i < spec.num_groups; i++) {
        char path[768], text[1024];
        snprintf(path, sizeof path, "%s/%s", spec.groups[i].path, file);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) continue;
        ssize_t size = read(fd, text, sizeof text - 1);
        close(fd);
        if (size <= 0) continue;
        text[size] = 0;
        if (!key) return atoll(text);
        for (char *line = text; line; line = strchr(line, '\n')) {
            line += *line == '\n';
            size_t n = strlen(key);
            if (!strncmp(line, key, n) && line[n] == ' ') return atoll(line + n);
        }
    }
    return -1;
}
