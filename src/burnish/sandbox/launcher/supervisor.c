/* The supervisor: starts the keeper, drains what the program writes, reports. */
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define REPORT_BYTES (4 << 20)
#define HARD_FACTOR 10
#define GRACE_S 20

struct shared *shared;
static pid_t supervisor;
static int control = -1; /* the line to who asked, of a launcher that waits */
static int in_own_net;   /* all jobs of this launcher find the same empty network, one by one */

struct stream { /* what came through one pipe, up to a cap */
    int fd;
    char *data;
    size_t size, capacity;
    int truncated;
};

double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void fail(const char *what) {
    snprintf(shared->failure, sizeof shared->failure, "%s: %s", what, strerror(errno));
    if (getpid() == supervisor) { /* there is no one else to tell */
        dprintf(RESULT_FD, "done=0\nfailure=%s\n\n", shared->failure);
        remove_groups();
    }
    _exit(125);
}

/* Returns whether the pipe is still open. */
static int drain(struct stream *stream, long long *room) {
    static char block[1 << 16];
    ssize_t size = read(stream->fd, block, sizeof block);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return 1;
    if (size <= 0) {
        close(stream->fd);
        stream->fd = -1;
        return 0;
    }
    size_t kept = (long long)size <= *room ? (size_t)size : (size_t)*room;
    stream->truncated |= kept < (size_t)size;
    *room -= (long long)kept;
    if (stream->size + kept > stream->capacity) {
        stream->capacity = 2 * (stream->size + kept);
        stream->data = realloc(stream->data, stream->capacity);
        if (!stream->data) _exit(124);
    }
    memcpy(stream->data + stream->size, block, kept);
    stream->size += kept;
    return 1;
}

/* Processor time that no wait has counted shows in the control group alone. */
static int over_budget(void) {
    return group_value("cpu.stat", "usage_usec") / 1e6 > spec.cpu_s * 1.05 + 0.05;
}

static long long out_of_memory(void) {
    long long kills = group_value("memory.oom_control", "oom_kill");
    return kills >= 0 ? kills : group_value("memory.events", "oom_kill");
}

static void watch_pipes(pid_t keeper, struct stream streams[3]) {
    long long room = spec.output, report_room = REPORT_BYTES;
    double hard = now() + HARD_FACTOR * spec.wall_s + GRACE_S, next = 0;
    for (;;) {
        struct pollfd fds[4] = {[3] = {control, POLLIN, 0}};
        int open = 0;
        for (int i = 0; i < 3; i++) {
            fds[i] = (struct pollfd){streams[i].fd, POLLIN, 0};
            open += streams[i].fd >= 0;
        }
        if (!open) break;
        poll(fds, 4, 50);
        if (fds[3].revents) kill(keeper, SIGKILL); /* nobody waits for the result any more */
        for (int i = 0; i < 3; i++)
            if (fds[i].revents) drain(&streams[i], i < 2 ? &room : &report_room);
        int spilled = streams[0].truncated || streams[1].truncated;
        if (spilled && !shared->limit) shared->limit = OUTPUT; /* the keeper sees it and ends all */
        if (now() >= next) {
            if (!shared->limit && spec.num_groups && over_budget()) shared->limit = CPU;
            if (!shared->limit && spec.num_groups && out_of_memory() > 0) shared->limit = MEMORY;
            next = now() + 0.02;
        }
        if (now() > hard) { /* the keeper itself is stuck */
            if (!shared->limit) shared->limit = WALL;
            kill(keeper, SIGKILL);
            break;
        }
    }
}

static void say(const char *name, long long value, FILE *to) {
    fprintf(to, "%s=%lld\n", name, value);
}

static void write_report(struct stream streams[3], double setup_s) {
    FILE *to = fdopen(RESULT_FD, "w");
    if (!to) _exit(124);
    say("done", shared->done, to);
    say("status", shared->status, to);
    say("limit", shared->limit, to);
    say("exec_error", shared->exec_error, to);
    fprintf(to, "cpu_s=%.6f\nwall_s=%.6f\nsetup_s=%.6f\n", shared->cpu_s, shared->wall_s, setup_s);
    say("memory_bytes", shared->peak, to);
    say("user_ns", shared->user_ns, to);
    say("seccomp", shared->seccomp, to);
    say("landlock", shared->landlock, to);
    say("capabilities", shared->capabilities, to);
    say("own_user", shared->own_user, to);
    say("limited_processes", shared->limited_processes, to);
    fprintf(to, "failure=%s\n", shared->failure);
    static const char *names[] = {"stdout", "stderr", "report"};
    for (int i = 0; i < 3; i++)
        fprintf(to, "%s=%zu,%d\n", names[i], streams[i].size, streams[i].truncated);
    fputc('\n', to);
    for (int i = 0; i < 3; i++) fwrite(streams[i].data, 1, streams[i].size, to);
    fclose(to); /* if nobody listens any more, the groups still have to go */
}

static int holds(unsigned capabilities) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &header, data)) return 0;
    return (data[0].effective & capabilities) == capabilities;
}

static int may_administer(void) {
    unsigned needed = 1u << CAP_SYS_ADMIN | 1u << CAP_SETUID | 1u << CAP_SETGID | 1u << CAP_CHOWN;
    return !geteuid() && holds(needed);
}

static void map_users(pid_t keeper, uid_t uid, gid_t gid) {
    struct { const char *file; unsigned id; } maps[] = {
        {"setgroups", 0}, {"uid_map", uid}, {"gid_map", gid}};
    for (int i = 0; i < 3; i++) {
        char path[64], text[64];
        snprintf(path, sizeof path, "/proc/%d/%s", keeper, maps[i].file);
        if (i) snprintf(text, sizeof text, "0 %u 1", maps[i].id);
        else snprintf(text, sizeof text, "deny");
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0 || write(fd, text, strlen(text)) < 0) fail("user namespace");
        close(fd);
    }
}

static pid_t start_keeper(int privileged, int pipes[3][2], int ends[2]) {
    unsigned long flags = SIGCHLD;
    if (spec.namespaces) {
        flags |= CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
        flags |= (spec.network || in_own_net ? 0 : CLONE_NEWNET) | (privileged ? 0 : CLONE_NEWUSER);
    }
    uid_t user = privileged ? FIRST_USER + (uid_t)getpid() : 0;
    enter_model(1);
    pid_t keeper = (pid_t)syscall(SYS_clone, flags, NULL, NULL, NULL, NULL);
    if (keeper < 0) {
        enter_model(0);
        snprintf(shared->failure, sizeof shared->failure, "namespaces: %s", strerror(errno));
        return -1;
    }
    if (keeper == 0) {
        close(ends[0]);
        close(RESULT_FD);
        if (control >= 0) close(control);
        for (int i = 0; i < 3; i++)
            close(pipes[i][0]);
        keep_job(supervisor, user, pipes[0][1], pipes[1][1], pipes[2][1], ends[1]);
    }
    enter_model(0);
    if (spec.namespaces && !privileged) map_users(keeper, geteuid(), getegid());
    return keeper;
}

/* All that needs no job yet, and takes longest: namespaces, and the move into control groups. */
static pid_t prepare(struct stream streams[3], int *line) {
    int pipes[3][2], ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends)) fail("socket");
    for (int i = 0; i < 3; i++) /* others may open /dev/stdout by its name */
        if (pipe2(pipes[i], O_CLOEXEC) || fchmod(pipes[i][1], 0666)) fail("pipe");
    pid_t keeper = start_keeper(spec.namespaces && may_administer(), pipes, ends);
    close(ends[1]);
    for (int i = 0; i < 3; i++) {
        close(pipes[i][1]);
        fcntl(pipes[i][0], F_SETFL, O_NONBLOCK);
        streams[i] = (struct stream){.fd = pipes[i][0]};
    }
    if (keeper > 0 && join_groups(keeper)) {
        snprintf(shared->failure, sizeof shared->failure, "control group: %s", strerror(errno));
        kill(keeper, SIGKILL);
    }
    *line = ends[0];
    return keeper;
}

static void supervise(pid_t keeper, struct stream streams[3], int line, const int job[2]) {
    double begin = now();
    if (keeper > 0) {
        limit_groups();
        if (send_descriptors(line, job, 2)) kill(keeper, SIGKILL);
        watch_pipes(keeper, streams);
        int status;
        while (waitpid(keeper, &status, 0) < 0 && errno == EINTR) {}
    }
    double setup_s = now() - begin - shared->wall_s;
    if (spec.num_groups && !shared->limit && out_of_memory() > 0) shared->limit = MEMORY;
    write_report(streams, setup_s);
    for (int i = 0; i < 3; i++) {
        if (streams[i].fd >= 0) close(streams[i].fd);
        free(streams[i].data);
    }
    close(line);
}

/* A launcher that waits: everything is prepared before its job comes; its arguments are groups.
 * It serves one job after another, and each has new namespaces and a new keeper. */
static int serve(int num_groups, char **groups) {
    struct stream streams[3];
    int line, fds[3];
    spec.namespaces = spec.waited = 1;
    for (int i = 0; i < num_groups && i < MAX_GROUPS; i++)
        spec.groups[spec.num_groups++].parent = groups[i];
    control = fcntl(CONTROL_FD, F_DUPFD_CLOEXEC, RESULT_FD + 1);
    close(CONTROL_FD);
    /* Nobody in a job may configure it and every socket dies with its job: nothing passes on. */
    in_own_net = may_administer() && !unshare(CLONE_NEWNET);
    if (may_administer() && holds(1u << CAP_SYS_CHROOT)) build_model();
    for (make_groups();; renew_groups()) {
        memset(shared, 0, sizeof *shared);
        forget_spec();
        dup2(0, RESULT_FD); /* nothing else may take its number */
        pid_t keeper = prepare(streams, &line);
        if (!receive_descriptors(control, fds, 3)) { /* who would have sent a job is no more */
            if (keeper > 0) kill(keeper, SIGKILL);
            while (waitpid(keeper, NULL, 0) < 0 && errno == EINTR) {}
            remove_groups();
            return 0;
        }
        dup2(fds[2], RESULT_FD);
        fcntl(RESULT_FD, F_SETFD, FD_CLOEXEC);
        close(fds[2]);
        read_spec(fds[1]);
        supervise(keeper, streams, line, fds);
        close(fds[0]);
        close(fds[1]);
    }
}

int main(int argc, char **argv) {
    struct stream streams[3];
    int line, job[2] = {0, SPEC_FD};
    supervisor = getpid();
    signal(SIGPIPE, SIG_IGN);
    fcntl(SPEC_FD, F_SETFD, FD_CLOEXEC);
    fcntl(RESULT_FD, F_SETFD, FD_CLOEXEC);
    syscall(SYS_close_range, RESULT_FD + 1, ~0U, 0);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) return 120;
    if (argc > 1 && !strcmp(argv[1], "wait")) return serve(argc - 2, argv + 2);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* ends with the thread that asked */
    read_spec(SPEC_FD);
    make_groups();
    pid_t keeper = prepare(streams, &line);
    supervise(keeper, streams, line, job);
    remove_groups();
    return 0;
}
