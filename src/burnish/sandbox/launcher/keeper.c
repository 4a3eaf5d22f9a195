/* The keeper: pid 1 of the job. It starts the program, counts, and kills all that is left. */
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define TICK_S 0.01 /* /proc counts processor time in these steps */
#define HARD_FACTOR 10

static double seconds(struct timeval t) { return (double)t.tv_sec + (double)t.tv_usec / 1e6; }

/* Processor seconds of all children that have been waited for, and theirs. */
static double reaped(void) {
    struct rusage usage;
    getrusage(RUSAGE_CHILDREN, &usage);
    long long peak = (long long)usage.ru_maxrss * 1024;
    if (peak > shared->peak) shared->peak = peak;
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/* Elapsed time less the time in which the job waited for a processor. */
struct clock { double at, busy_s, idle_s, floor_s; };

static void advance(struct clock *clock, double busy_s) {
    double at = now(), step = at - clock->at, worked = busy_s - clock->busy_s;
    if (worked < 0) worked = 0; /* someone ended and took its count along */
    if (worked > step + TICK_S) worked = step + TICK_S;
    clock->idle_s += step - worked;
    if (clock->idle_s < clock->floor_s) clock->idle_s = clock->floor_s;
    if (clock->idle_s - 2 * TICK_S > clock->floor_s) clock->floor_s = clock->idle_s - 2 * TICK_S;
    clock->at = at;
    clock->busy_s = busy_s;
}

static int is_disk_full(void) { return spec.confine && folder_bytes(spec.folder) > spec.disk; }

static int exceeded(struct clock *clock, double start) {
    struct usage usage;
    measure_processes(&usage, spec.memory);
    double cpu_s = usage.cpu_s + reaped(), elapsed = now() - start;
    advance(clock, usage.busy_s + reaped());
    if (usage.memory > shared->peak) shared->peak = usage.memory;
    if (cpu_s > shared->cpu_s) shared->cpu_s = cpu_s;
    if (cpu_s > spec.cpu_s) return CPU;
    if (usage.memory > spec.memory) return MEMORY;
    if (!spec.namespaces && usage.threads > spec.processes) return PROCESSES;
    if (is_disk_full()) return DISK;
    double worked = cpu_s < elapsed ? cpu_s : elapsed;
    if (clock->idle_s + worked > spec.wall_s || elapsed > HARD_FACTOR * spec.wall_s) return WALL;
    return NO_LIMIT;
}

static void watch(pid_t program, int signals, double start) {
    struct clock clock = {.at = start};
    struct pollfd poll_signals = {signals, POLLIN, 0};
    struct signalfd_siginfo info;
    for (int pause_ms = 10;; pause_ms = 25) { /* the first look: before anything can grow large */
        poll(&poll_signals, 1, pause_ms);
        while (read(signals, &info, sizeof info) > 0)
            if (info.ssi_signo == SIGTERM) return; /* whoever asked is gone */
        int status;
        for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
            if (pid == program) {
                shared->status = status;
                if (!shared->limit && is_disk_full()) shared->limit = DISK; /* since the last look */
                return;
            }
        if (!shared->limit) shared->limit = exceeded(&clock, start);
        if (shared->limit) return;
    }
}

/* The job comes over the line: its input and its description. */
static void receive_job(int line) {
    int fds[2];
    if (!receive_descriptors(line, fds, 2)) _exit(1);
    close(line);
    spec.waited = 0;
    forget_spec();
    read_spec(fds[1]);
    if (dup2(fds[0], 0) < 0) fail("input");
    spec.keep_fd = -1;
    if (!spec.keep || !spec.namespaces) return;
    leave_model(); /* it is a folder of this machine */
    spec.keep_fd = open(spec.keep, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (spec.keep_fd < 0) fail(spec.keep);
}

void keep_job(pid_t supervisor, uid_t user, int out, int err, int report, int line) {
    /* Without namespaces nothing else ends the job: the keeper has to live on and kill it. */
    prctl(PR_SET_PDEATHSIG, spec.namespaces ? SIGKILL : SIGTERM);
    if (!spec.namespaces && getppid() != supervisor) _exit(1);
    receive_job(line); /* by then we are mapped, and in our control groups */
    if (spec.namespaces) build_root(user);
    else prctl(PR_SET_CHILD_SUBREAPER, 1); /* what a daemon leaves comes to us */
    sigset_t awaited;
    sigemptyset(&awaited);
    sigaddset(&awaited, SIGCHLD);
    if (!spec.namespaces) sigaddset(&awaited, SIGTERM);
    sigprocmask(SIG_BLOCK, &awaited, NULL);
    uid_t own = spec.confine && !spec.namespaces ? give_folder() : 0;
    int signals = signalfd(-1, &awaited, SFD_NONBLOCK | SFD_CLOEXEC);
    double start = now();
    pid_t program = fork();
    if (program < 0) fail("fork");
    if (!program) run_program(spec.namespaces ? user : own, out, err, report);
    prctl(PR_SET_DUMPABLE, 0); /* nobody looks into the keeper */
    close(out);
    close(err);
    close(report);
    watch(program, signals, start);
    shared->wall_s = now() - start;
    kill_processes();
    double cpu_s = reaped();
    if (cpu_s > shared->cpu_s) shared->cpu_s = cpu_s;
    if (!shared->limit && shared->peak > spec.memory) shared->limit = MEMORY; /* between looks */
    if (spec.namespaces && spec.keep_fd >= 0 && !*shared->failure) copy_out(spec.keep_fd);
    shared->done = 1;
    _exit(0);
}
