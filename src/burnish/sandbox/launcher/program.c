/* The last steps before the program: its files, its user, its limits. */
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void write_files(void) {
    umask(022);
    for (int i = 0; i < spec.num_files; i++) {
        const struct file *file = &spec.files[i];
        char path[4096];
        snprintf(path, sizeof path, "%s", file->name);
        for (char *slash = path; (slash = strchr(slash, '/')); slash++) {
            *slash = 0;
            mkdir(path, 0755);
            *slash = '/';
        }
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
                      file->executable ? 0755 : 0644);
        if (fd < 0) fail(file->name);
        for (size_t done = 0; done < file->size;) {
            ssize_t size = write(fd, file->data + done, file->size - done);
            if (size < 0) fail(file->name);
            done += (size_t)size;
        }
        close(fd);
    }
}

static int put(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    ssize_t size = write(fd, text, strlen(text));
    close(fd);
    return size < 0 ? -1 : 0;
}

/* An own user namespace: no power over mounts and networks, and processes are counted there. */
static void enter_user_namespace(uid_t user) {
    char map[64];
    prctl(PR_SET_DUMPABLE, 1); /* /proc/self belongs to us again */
    if (unshare(CLONE_NEWUSER)) {
        if (spec.strict) fail("user namespace of the program");
        return;
    }
    snprintf(map, sizeof map, "1000 %u 1", user);
    if (put("/proc/self/setgroups", "deny") || put("/proc/self/uid_map", map) ||
        put("/proc/self/gid_map", map))
        fail("user namespace of the program");
    shared->user_ns = 1;
}

static int bound(int what, long long value) {
    struct rlimit limit;
    if (getrlimit(what, &limit)) return -1;
    rlim_t wanted = (rlim_t)value;
    if (limit.rlim_max != RLIM_INFINITY && wanted > limit.rlim_max) wanted = limit.rlim_max;
    limit.rlim_cur = limit.rlim_max = wanted;
    return setrlimit(what, &limit);
}

/* Without namespaces: where root starts the job and everything that it needs is open to others, it
 * gets a user of its own, who also owns the work folder; else the caller's user stays. */
uid_t give_folder(void) {
    uid_t user = FIRST_USER + (uid_t)getpid();
    if (geteuid() || setegid(user)) return 0;
    int closed = seteuid(user);
    for (int i = -1; i < spec.num_binds && !closed; i++)
        closed = faccessat(AT_FDCWD, i < 0 ? spec.argv[0] : spec.binds[i].from,
                           i < 0 ? X_OK : R_OK, AT_EACCESS);
    for (int i = 1; i < spec.num_argv && !closed; i++)
        closed = spec.argv[i][0] == '/' && !access(spec.argv[i], F_OK) &&
                 faccessat(AT_FDCWD, spec.argv[i], R_OK, AT_EACCESS);
    if (seteuid(0) || setegid(0)) fail("user of the job");
    if (closed || chown(spec.folder, user, user)) return 0;
    shared->own_user = 1;
    return user;
}

/* Limits of one process; those of the tree are the keeper's. The stack may grow until the memory
 * limit ends it; threads get what the C library gives them where that is unlimited (2 MiB). */
static void set_limits(void) {
    bound(RLIMIT_STACK, (long long)RLIM_INFINITY);
    bound(RLIMIT_CORE, 0);
    bound(RLIMIT_CPU, (long long)spec.cpu_s + 2);
    bound(RLIMIT_FSIZE, spec.file);
    bound(RLIMIT_NOFILE, spec.open_files);
    bound(RLIMIT_MSGQUEUE, 0);
    bound(RLIMIT_MEMLOCK, 64 << 10);
    if (spec.data) bound(RLIMIT_DATA, 2 * spec.memory + (256LL << 20));
    if (spec.namespaces) shared->limited_processes = !bound(RLIMIT_NPROC, spec.processes);
    /* A user of its own: the keeper counts and ends the job; this holds if the keeper is killed. */
    else if (shared->own_user) bound(RLIMIT_NPROC, 2 * (long long)spec.processes + 16);
}

static void place_descriptors(int out, int err, int report) {
    int last = 2;
    if (dup2(out, 1) < 0 || dup2(err, 2) < 0) fail("output");
    if (spec.report) {
        if (report == 3) fcntl(3, F_SETFD, 0);
        else if (dup2(report, 3) < 0) fail("report");
        last = 3;
    }
    if (syscall(SYS_close_range, last + 1, ~0U, 0))
        for (int fd = last + 1; fd < 4096; fd++) close(fd);
}

void run_program(uid_t user, int out, int err, int report) {
    put("/proc/self/oom_score_adj", "1000");
    place_descriptors(out, err, report);
    setsid();
    for (int i = 1; i < NSIG; i++) signal(i, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (chdir(spec.namespaces ? "/work" : spec.folder)) fail("work folder");
    if (spec.namespaces) {
        if (user && (setgroups(0, NULL) || setresgid(user, user, user) ||
                     setresuid(user, user, user)))
            fail("user of the program");
        write_files();
        enter_user_namespace(user);
    } else if (user) {
        drop_bounding_set(); /* while we may */
        if (setgroups(0, NULL) || setresgid(user, user, user) || setresuid(user, user, user))
            fail("user of the program");
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    set_limits();
    if (spec.namespaces || spec.confine) {
        drop_capabilities();
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        shared->landlock = restrict_files();
        if (spec.confine && !shared->landlock) fail("Landlock");
        filter_calls();
        if (spec.confine && !shared->seccomp) fail("the filter of system calls");
        if (spec.strict && !(shared->seccomp && shared->capabilities && shared->limited_processes))
            fail("confinement");
    }
    execve(spec.argv[0], spec.argv, spec.env);
    shared->exec_error = errno;
    _exit(127);
}
