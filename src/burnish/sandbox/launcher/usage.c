/* What the processes of a job have used, read from /proc; how all of them are killed. */
#include "launcher.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_PROCESSES 8192

struct process {
    pid_t pid, parent;
    double cpu_s;
    long long memory;
    int threads, ours;
};

static struct process found[MAX_PROCESSES];

static int read_text(const char *path, char *text, size_t size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    ssize_t done = read(fd, text, size - 1);
    close(fd);
    if (done <= 0) return -1;
    text[done] = 0;
    return 0;
}

static int read_process(pid_t pid, struct process *process) {
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    if (read_text(path, text, sizeof text)) return -1;
    char *rest = strrchr(text, ')'), state; /* the name may hold anything, ')' too */
    unsigned long user, system, threads;
    long child_user, child_system, pages;
    int parent;
    if (!rest || sscanf(rest + 2,
                        "%c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %ld %ld %*d %*d %lu "
                        "%*d %*u %*u %ld",
                        &state, &parent, &user, &system, &child_user, &child_system, &threads,
                        &pages) != 8)
        return -1;
    double ticks = sysconf(_SC_CLK_TCK);
    *process = (struct process){pid, parent, (user + system + child_user + child_system) / ticks,
                                pages * sysconf(_SC_PAGESIZE), (int)threads, 0};
    return 0;
}

/* All processes of the job: everything but pid 1 inside, all descendants of the keeper outside. */
static int list_processes(void) {
    DIR *folder = opendir("/proc");
    int num = 0;
    if (!folder) return 0;
    for (struct dirent *entry; (entry = readdir(folder)) && num < MAX_PROCESSES;)
        if (isdigit(*entry->d_name) && atoi(entry->d_name) != getpid())
            num += !read_process(atoi(entry->d_name), &found[num]);
    closedir(folder);
    for (int i = 0, more = 1; i < num && spec.namespaces; i++) found[i].ours = more;
    for (int more = !spec.namespaces; more;) {
        more = 0;
        for (int i = 0; i < num; i++) {
            if (found[i].ours) continue;
            int ours = found[i].parent == getpid();
            for (int j = 0; j < num && !ours; j++)
                ours = found[j].ours && found[j].pid == found[i].parent;
            more |= found[i].ours = ours;
        }
    }
    return num;
}

/* Seconds on a processor plus seconds of waiting for one, over all threads. */
static double busy(const struct process *process) {
    char path[320], text[128];
    double run = 0, wait = 0, sum = 0;
    snprintf(path, sizeof path, "/proc/%d/schedstat", process->pid);
    if (process->threads <= 1) {
        if (read_text(path, text, sizeof text) || sscanf(text, "%lf %lf", &run, &wait) != 2)
            return process->cpu_s;
        return (run + wait) / 1e9;
    }
    snprintf(path, sizeof path, "/proc/%d/task", process->pid);
    DIR *folder = opendir(path);
    if (!folder) return process->cpu_s;
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (!isdigit(*entry->d_name)) continue;
        snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", process->pid, entry->d_name);
        if (!read_text(path, text, sizeof text) && sscanf(text, "%lf %lf", &run, &wait) == 2)
            sum += (run + wait) / 1e9;
    }
    closedir(folder);
    return sum;
}

/* Memory of a process with shared pages divided among those who share them. */
static long long proportional(pid_t pid) {
    char path[64], text[2048];
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
    if (read_text(path, text, sizeof text)) return -1;
    char *line = strstr(text, "\nPss:");
    return line ? atoll(line + 5) * 1024 : -1;
}

void measure_processes(struct usage *usage, long long limit) {
    *usage = (struct usage){0};
    int num = list_processes();
    for (int i = 0; i < num; i++) {
        if (!found[i].ours) continue;
        usage->num++;
        usage->threads += found[i].threads;
        usage->cpu_s += found[i].cpu_s;
        usage->busy_s += busy(&found[i]);
        usage->memory += found[i].memory;
    }
    if (usage->memory <= limit || usage->num < 2) return;
    usage->memory = 0; /* only now is it worth to ask who shares what */
    for (int i = 0; i < num; i++) {
        if (!found[i].ours) continue;
        long long bytes = proportional(found[i].pid);
        usage->memory += bytes < 0 ? found[i].memory : bytes;
    }
}

static long long total;

static int add_size(const char *path, const struct stat *info, int kind, struct FTW *place) {
    (void)path, (void)place;
    if (kind == FTW_F) total += info->st_blocks * 512;
    return 0;
}

long long folder_bytes(const char *path) {
    total = 0;
    nftw(path, add_size, 16, FTW_PHYS | FTW_MOUNT);
    return total;
}

/* Everything of the job's own user at once: a process that forks meanwhile takes the signal along. */
static void kill_user(uid_t user) {
    pid_t killer = fork();
    if (killer == 0) {
        if (setresgid(user, user, user) || setresuid(user, user, user)) _exit(1);
        for (int rounds = 0; rounds < 3; rounds++)
            if (kill(-1, SIGKILL)) break; /* to all but itself */
        _exit(0);
    }
    if (killer > 0) waitpid(killer, NULL, 0);
}

void kill_processes(void) {
    if (shared->own_user) kill_user(FIRST_USER + (uid_t)getpid());
    if (spec.namespaces) {
        kill(-1, SIGKILL);
        while (waitpid(-1, NULL, 0) > 0) {}
        return;
    }
    for (int rounds = 0; rounds < 10000; rounds++) { /* until nobody is left to fork again */
        int num = list_processes(), alive = 0;
        for (int i = 0; i < num; i++)
            if (found[i].ours) alive += !kill(found[i].pid, SIGKILL);
        while (waitpid(-1, NULL, WNOHANG) > 0) {}
        if (!alive) return;
        if (rounds > 3) usleep(1000);
    }
}
