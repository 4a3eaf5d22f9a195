/* The launcher: supervises one job, and reports what came of it.
 *
 *   supervisor (this machine)  drains the output, keeps the hard deadline, writes the report
 *     keeper (pid 1 of the job) builds the root, counts time and memory, kills everything
 *       program (own user namespace, no capabilities, filtered) what was asked for
 *
 * Source: ours.
 */
#ifndef BURNISH_LAUNCHER_H
#define BURNISH_LAUNCHER_H

#define _GNU_SOURCE
#include <stdint.h>
#include <sys/types.h>

#define MAX_ITEMS 4096
#define MAX_GROUPS 3
#define FIRST_USER 1879048192u /* the users of jobs, one for each, where root may */
#define SPEC_FD 3   /* of a launcher that is started for one job; */
#define RESULT_FD 4 /* its standard input is the program's */
#define CONTROL_FD 3 /* of a launcher that waits for its job: there all three come in */

struct file {
    const char *name;
    const char *data;
    size_t size;
    int executable;
};

struct bind {
    const char *from;
    const char *to;
};

struct control { /* one control group of the job; v1 has one for each controller */
    const char *parent;
    char path[512];
};

struct spec {
    char *argv[MAX_ITEMS];
    char *env[MAX_ITEMS];
    struct file files[MAX_ITEMS];
    struct bind binds[MAX_ITEMS];
    int num_argv, num_env, num_files, num_binds;
    struct control groups[MAX_GROUPS];
    int num_groups;
    int waited;     /* the groups were made before the job came */
    int namespaces; /* 0: a helper program isolates, or nothing does */
    int confine;    /* without namespaces: files by Landlock, calls by the filter */
    int strict;     /* fail where a mechanism is missing */
    int network, report, keep_fd, data;
    double cpu_s, wall_s;
    long long memory, processes, output, file, open_files, disk;
    const char *keep, *folder; /* folder: where a job without namespaces works */
};

enum limit { NO_LIMIT, CPU, WALL, MEMORY, OUTPUT, PROCESSES, DISK };

struct shared { /* one page that supervisor and keeper both see, and the program never does */
    volatile int done, status, limit, exec_error;
    volatile double cpu_s, wall_s;
    volatile long long peak, disk_full;
    volatile int user_ns, seccomp, landlock, capabilities, limited_processes, own_user;
    char failure[256];
};

extern struct spec spec;
extern struct shared *shared;

void read_spec(int fd);
void forget_spec(void);
void fail(const char *what); /* note errno for the report, and end this process */
double now(void);

void make_groups(void);
void limit_groups(void);
int join_groups(pid_t pid);
void remove_groups(void);
void renew_groups(void); /* for the next job: as good as new, or new */
long long group_value(const char *file, const char *key); /* -1: no group tells */

int send_descriptors(int socket, const int *fds, int num);
int receive_descriptors(int socket, int *fds, int num); /* 0: the other end is closed */

void keep_job(pid_t supervisor, uid_t user, int out, int err, int report, int line);
void build_model(void); /* for all jobs of this launcher */
void enter_model(int inside);
void leave_model(void);
void build_root(uid_t user);
void run_program(uid_t user, int out, int err, int report);
void copy_out(int to);
uid_t give_folder(void);
void drop_bounding_set(void);
void drop_capabilities(void);
void filter_calls(void);
int restrict_files(void);

/* Processor time, memory and waiting of all processes of the job, the keeper left out. */
struct usage {
    double cpu_s, busy_s;
    long long memory;
    int num, threads;
};
void measure_processes(struct usage *usage, long long limit);
void kill_processes(void);
long long folder_bytes(const char *path); /* of all files below */

#endif
