/* What the program loses before it starts: capabilities, files, and system calls. */
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#error "no filter of system calls for this machine"
#endif

/* Nothing honest asks for these: the program is killed, and the verdict says so. */
static const int HOSTILE[] = {
    SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_mount, SYS_umount2,
    SYS_pivot_root, SYS_chroot, SYS_setns, SYS_move_mount, SYS_open_tree, SYS_fsopen,
    SYS_fsconfig, SYS_fsmount, SYS_fspick, SYS_mount_setattr, SYS_swapon, SYS_swapoff, SYS_reboot,
    SYS_kexec_load, SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_bpf,
    SYS_open_by_handle_at, SYS_keyctl, SYS_add_key, SYS_request_key, SYS_acct, SYS_quotactl,
    SYS_settimeofday, SYS_clock_settime, SYS_adjtimex, SYS_clock_adjtime, SYS_sethostname,
    SYS_setdomainname, SYS_unshare, SYS_pidfd_getfd, SYS_kcmp, SYS_syslog, SYS_vhangup,
#ifdef SYS_kexec_file_load
    SYS_kexec_file_load,
#endif
#ifdef __x86_64__
    SYS_iopl, SYS_ioperm,
#endif
};

/* Runtimes ask for these and do well without: they fail as on a machine that lacks them. */
static const int ABSENT[] = {
    425, 426, 427, /* io_uring_setup, io_uring_enter, io_uring_register */
    SYS_perf_event_open, SYS_userfaultfd, SYS_name_to_handle_at, SYS_fanotify_init,
    SYS_clone3, /* its flags cannot be read by a filter; libraries fall back to clone */
#ifdef __x86_64__
    SYS_modify_ldt,
#endif
};

/* Without a control group nobody counts the pages of these. */
static const int UNCOUNTED[] = {SYS_memfd_create, SYS_shmget};

/* Without namespaces these reach what other processes of this machine share. */
static const int SHARED[] = {SYS_semget, SYS_msgget, SYS_mq_open, SYS_shmat};
static const int SOCKETS[] = {SYS_socket};

/* Landlock knows no rights, owners and times of files, and root without a user of the job's own
 * would have them of all that is root's. */
static const int OWNERS[] = {
    SYS_fchmod, SYS_fchmodat, SYS_fchown, SYS_fchownat, SYS_utimensat, SYS_setxattr,
    SYS_lsetxattr, SYS_fsetxattr, SYS_removexattr, SYS_lremovexattr, SYS_fremovexattr,
    452, /* fchmodat2 */
#ifdef __x86_64__
    SYS_chmod, SYS_chown, SYS_lchown, SYS_utime, SYS_utimes, SYS_futimesat,
#endif
};

#define NEW_NAMESPACE                                                                     \
    (CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC |           \
     CLONE_NEWUTS | CLONE_NEWCGROUP)
#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(field))
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, (what))
#define NEXT_UNLESS(value) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, 1)
#define ARGUMENT(n) (offsetof(struct seccomp_data, args) + 8 * (n))

static struct sock_filter rules[256];
static int num_rules;

static void add(struct sock_filter rule) { rules[num_rules++] = rule; }

struct denied { int call; uint32_t action; };

static struct denied denied[128];
static int num_denied;

static void deny(const int *calls, size_t num, uint32_t action) {
    for (size_t i = 0; i < num; i++) denied[num_denied++] = (struct denied){calls[i], action};
}

static int by_number(const void *a, const void *b) {
    return ((const struct denied *)a)->call - ((const struct denied *)b)->call;
}

/* Halves, halves again: the kernel walks a new filter once for every system call that there is. */
static void add_tree(int first, int end) {
    if (end - first <= 2) {
        for (int i = first; i < end; i++) {
            add((struct sock_filter)NEXT_UNLESS(denied[i].call));
            add((struct sock_filter)RETURN(denied[i].action));
        }
        add((struct sock_filter)RETURN(SECCOMP_RET_ALLOW));
        return;
    }
    int middle = (first + end) / 2, fork = num_rules;
    add((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, denied[middle].call, 0, 0));
    add_tree(first, middle);
    rules[fork].jt = (unsigned char)(num_rules - fork - 1);
    add_tree(middle, end);
}

static void add_arguments(void) {
    /* clone with a flag of a new namespace: 4 rules that end with the number loaded again */
    struct sock_filter clone_rules[] = {
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4),
        LOAD(ARGUMENT(0)),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, NEW_NAMESPACE, 0, 1),
        RETURN(SECCOMP_RET_KILL_PROCESS),
        LOAD(offsetof(struct seccomp_data, nr)),
    };
    /* sockets: UNIX 1, INET 2, INET6 10, NETLINK 16; others, such as VSOCK, leave namespaces */
    struct sock_filter socket_rules[] = {
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 7),
        LOAD(ARGUMENT(0)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 4, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 2, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 10, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 16, 1, 0),
        RETURN(SECCOMP_RET_ERRNO | EAFNOSUPPORT),
        LOAD(offsetof(struct seccomp_data, nr)),
    };
    /* ioctl TIOCSTI 0x5412 types into the caller's terminal */
    struct sock_filter ioctl_rules[] = {
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 4),
        LOAD(ARGUMENT(1)),
        NEXT_UNLESS(0x5412),
        RETURN(SECCOMP_RET_ERRNO | EPERM),
        LOAD(offsetof(struct seccomp_data, nr)),
    };
    for (int i = 0; i < 5; i++) add(clone_rules[i]);
    for (int i = 0; i < 8; i++) add(socket_rules[i]);
    for (int i = 0; i < 5; i++) add(ioctl_rules[i]);
}

void filter_calls(void) {
    add((struct sock_filter)LOAD(offsetof(struct seccomp_data, arch)));
    add((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0));
    add((struct sock_filter)RETURN(SECCOMP_RET_KILL_PROCESS));
    add((struct sock_filter)LOAD(offsetof(struct seccomp_data, nr)));
#ifdef __x86_64__ /* the x32 table would go around every rule */
    add((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1));
    add((struct sock_filter)RETURN(SECCOMP_RET_KILL_PROCESS));
#endif
    add_arguments();
    deny(HOSTILE, sizeof HOSTILE / sizeof *HOSTILE, SECCOMP_RET_KILL_PROCESS);
    deny(ABSENT, sizeof ABSENT / sizeof *ABSENT, SECCOMP_RET_ERRNO | ENOSYS);
    if (!spec.num_groups || !spec.namespaces)
        deny(UNCOUNTED, sizeof UNCOUNTED / sizeof *UNCOUNTED, SECCOMP_RET_ERRNO | ENOSYS);
    if (!spec.namespaces) {
        deny(SHARED, sizeof SHARED / sizeof *SHARED, SECCOMP_RET_ERRNO | ENOSYS);
        if (!spec.network)
            deny(SOCKETS, sizeof SOCKETS / sizeof *SOCKETS, SECCOMP_RET_ERRNO | ENETUNREACH);
        if (!geteuid()) deny(OWNERS, sizeof OWNERS / sizeof *OWNERS, SECCOMP_RET_ERRNO | EPERM);
    }
    qsort(denied, (size_t)num_denied, sizeof *denied, by_number);
    add_tree(0, num_denied);
    struct sock_fprog program = {(unsigned short)num_rules, rules};
    shared->seccomp = !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* ---- Landlock: writing stays inside the work disk, even if a mount were to be opened up; without
 * namespaces reading stays inside the system, the tool chain and the work folder, too. ---- */

struct ruleset { uint64_t files, network, scoped; };
struct beneath { uint64_t access; int32_t folder; } __attribute__((packed));

#define EXECUTE (1ULL << 0)
#define WRITE_FILE (1ULL << 1)
#define READ_FILE (1ULL << 2)
#define READING (EXECUTE | READ_FILE | 1ULL << 3) /* READ_DIR */
#define MAKE_AND_REMOVE (0x1ffULL << 4) /* REMOVE_DIR ... MAKE_SYM */
#define REFER (1ULL << 13)
#define TRUNCATE (1ULL << 14)
#define IOCTL_DEVICE (1ULL << 15)
#define OF_FILES (EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEVICE)

/* What may be read where no mount hides the rest; of /proc nothing that tells of others. */
static const char *READABLE[] = {
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc/ld.so.cache",
    "/etc/alternatives", "/etc/ssl/openssl.cnf", "/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/localtime",
    "/proc/self", "/proc/meminfo", "/proc/cpuinfo", "/proc/stat", "/proc/version",
    "/proc/filesystems", "/proc/loadavg", "/proc/uptime", "/sys/kernel/mm/transparent_hugepage",
    "/sys/devices/system/cpu",
};
static const char *DEVICES[] = {
    "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"};

static void allow(int ruleset, const char *path, uint64_t access) {
    struct beneath rule = {access, open(path, O_PATH | O_CLOEXEC)};
    struct stat info;
    if (rule.folder < 0) return;
    if (!fstat(rule.folder, &info) && !S_ISDIR(info.st_mode)) rule.access &= OF_FILES;
    syscall(SYS_landlock_add_rule, ruleset, 1, &rule, 0);
    close(rule.folder);
}

int restrict_files(void) {
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1);
    if (abi < 1) return 0;
    uint64_t writing = WRITE_FILE | MAKE_AND_REMOVE;
    if (abi >= 2) writing |= REFER;
    if (abi >= 3) writing |= TRUNCATE;
    uint64_t devices = WRITE_FILE | (abi >= 5 ? IOCTL_DEVICE : 0) | (abi >= 3 ? TRUNCATE : 0);
    struct ruleset rules = {.files = writing | devices | (spec.namespaces ? 0 : READING)};
    if (abi >= 4 && !spec.network) rules.network = 3; /* neither bind nor connect TCP ports */
    if (abi >= 6) rules.scoped = 3; /* neither abstract sockets nor signals leave */
    size_t size = abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
    int fd = (int)syscall(SYS_landlock_create_ruleset, &rules, size, 0);
    if (fd < 0) return 0;
    if (spec.namespaces) {
        allow(fd, "/work", writing);
        allow(fd, "/tmp", writing);
        allow(fd, "/dev/shm", writing);
        allow(fd, "/dev", devices);
    } else {
        for (size_t i = 0; i < sizeof READABLE / sizeof *READABLE; i++)
            allow(fd, READABLE[i], READING);
        for (size_t i = 0; i < sizeof DEVICES / sizeof *DEVICES; i++)
            allow(fd, DEVICES[i], READ_FILE | devices);
        for (int i = 0; i < spec.num_binds; i++) allow(fd, spec.binds[i].from, READING);
        allow(fd, spec.folder, READING | writing);
    }
    int failed = (int)syscall(SYS_landlock_restrict_self, fd, 0);
    close(fd);
    return failed ? 0 : (int)abi;
}

void drop_bounding_set(void) {
    for (int i = 0; i < 64; i++) prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
}

void drop_capabilities(void) {
    drop_bounding_set();
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2] = {{0}};
    shared->capabilities = !syscall(SYS_capset, &header, none);
}
