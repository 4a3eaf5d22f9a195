/* The root of the job: a read-only tmpfs with what the tool chain needs, and a capped work disk. */
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define ATTR_RDONLY 1
#define ATTR_NOSUID 2
#define ATTR_NODEV 4
#define RECURSIVE 0x8000 /* AT_RECURSIVE */

static const char *OLD = "/.old";

struct attributes {
    uint64_t set, clear, propagation, userns;
};

static void make_folders(const char *path) {
    char part[4096];
    snprintf(part, sizeof part, "%s", path);
    for (char *slash = part + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        mkdir(part, 0755);
        *slash = '/';
    }
}

static void write_file(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, text, strlen(text)) < 0) fail(path);
    close(fd);
}

/* Show `from` of the old root read-only under `to`; what does not exist is left out. */
static void bind_read_only(const char *from, const char *to, int needed) {
    char source[4200];
    struct stat info;
    snprintf(source, sizeof source, "%s%s", OLD, from);
    if (stat(source, &info)) {
        if (needed) fail(from);
        return;
    }
    make_folders(to);
    if (S_ISDIR(info.st_mode)) mkdir(to, 0755);
    else close(open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    if (mount(source, to, NULL, MS_BIND | MS_REC, NULL)) fail(from);
    struct attributes attributes = {.set = ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV};
    if (syscall(SYS_mount_setattr, AT_FDCWD, to, RECURSIVE, &attributes, sizeof attributes) == 0)
        return;
    unsigned long flags = MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV;
    if (mount(NULL, to, NULL, flags, NULL)) fail("read-only mount");
}

/* /bin and its like are links into /usr on most machines, folders on some. */
static void show_system(void) {
    static const char *names[] = {"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"};
    bind_read_only("/usr", "/usr", 1);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char old[64], target[256];
        snprintf(old, sizeof old, "%s%s", OLD, names[i]);
        ssize_t size = readlink(old, target, sizeof target - 1);
        if (size < 0) {
            bind_read_only(names[i], names[i], 0);
            continue;
        }
        target[size] = 0;
        if (symlink(target, names[i])) fail(names[i]);
    }
}

static void show_settings(void) {
    mkdir("/etc", 0755);
    bind_read_only("/etc/ld.so.cache", "/etc/ld.so.cache", 0);
    bind_read_only("/etc/alternatives", "/etc/alternatives", 0);
    write_file("/etc/passwd", "root:x:0:0::/:/bin/false\njob:x:1000:1000::/work:/bin/sh\n");
    write_file("/etc/group", "root:x:0:\njob:x:1000:\n");
    write_file("/etc/hosts", "127.0.0.1 localhost\n");
    write_file("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n");
    if (!spec.network) return;
    bind_read_only("/etc/resolv.conf", "/etc/resolv.conf", 0);
    bind_read_only("/etc/ssl", "/etc/ssl", 0);
}

/* Five nodes are made faster than five mounts, where we may; the program never may. */
static void show_devices(int own_nodes) {
    static const struct { const char *name; unsigned minor; } devices[] = {
        {"null", 3}, {"zero", 5}, {"full", 7}, {"random", 8}, {"urandom", 9}};
    mkdir("/dev", 0755);
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        char from[64], to[32];
        snprintf(from, sizeof from, "%s/dev/%s", OLD, devices[i].name);
        snprintf(to, sizeof to, "/dev/%s", devices[i].name);
        if (own_nodes && !mknod(to, S_IFCHR | 0666, makedev(1, devices[i].minor)) &&
            !chmod(to, 0666)) /* past the umask */
            continue;
        close(open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
        if (mount(from, to, NULL, MS_BIND, NULL)) fail(to);
    }
    if (symlink("/proc/self/fd", "/dev/fd") || symlink("/proc/self/fd/0", "/dev/stdin") ||
        symlink("/proc/self/fd/1", "/dev/stdout") || symlink("/proc/self/fd/2", "/dev/stderr"))
        fail("/dev");
}

/* One tmpfs with one size for all that can be written: work, tmp and shared memory. */
static void make_disk(uid_t user) {
    static const char *places[] = {"/work", "/tmp", "/dev/shm"};
    char options[128], part[64];
    snprintf(options, sizeof options, "size=%lld,nr_inodes=%lld,mode=0755", spec.disk,
             1024 + spec.disk / 8192);
    if (mount("disk", "/.disk", "tmpfs", MS_NOSUID | MS_NODEV, options)) fail("work disk");
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(part, sizeof part, "/.disk/%zu", i);
        if (mkdir(part, 0755) || chown(part, user, user)) fail("work disk");
        if (mount(part, places[i], NULL, MS_BIND, NULL)) fail(places[i]);
    }
    if (umount2("/.disk", MNT_DETACH)) fail("work disk");
}

static unsigned long root_flags(int own_nodes) {
    return MS_NOSUID | (own_nodes ? 0 : MS_NODEV); /* nodes: only those of show_devices */
}

/* What every job sees; the old root stays beneath until it is closed. */
static void build_shared(int own_nodes) {
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) fail("private mounts");
    if (mount("root", "/tmp", "tmpfs", root_flags(own_nodes), "size=4m,mode=0755")) fail("root");
    if (chdir("/tmp") || mkdir(".old", 0700)) fail("root");
    if (syscall(SYS_pivot_root, ".", ".old") || chdir("/")) fail("pivot_root");
    umask(022);
    show_system();
    show_settings();
    for (int i = 0; i < spec.num_binds; i++)
        bind_read_only(spec.binds[i].from, spec.binds[i].to, 1);
    show_devices(own_nodes);
    static const char *own[] = {"/proc", "/work", "/tmp", "/dev/shm", "/.disk"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (mkdir(own[i], 0755) && errno != EEXIST) fail(own[i]);
}

static void close_root(int own_nodes) {
    unsigned long flags = MS_BIND | MS_REMOUNT | MS_RDONLY | root_flags(own_nodes);
    if (umount2(OLD, MNT_DETACH) || rmdir(OLD)) fail("old root");
    if (mount(NULL, "/", NULL, flags, NULL)) fail("read-only root");
}

static int host = -1, model = -1; /* mounts of this machine, and those that jobs begin with */

static int own_mounts(void) { /* above the descriptors that have their numbers */
    int low = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    int high = fcntl(low, F_DUPFD_CLOEXEC, RESULT_FD + 1);
    close(low);
    return high;
}

/* A launcher that serves many jobs builds once what all of them see and none can write. The mounts
 * of a job are a copy of these; with files of this machine in sight it builds all of its own. */
void build_model(void) {
    host = own_mounts();
    if (host < 0 || unshare(CLONE_NEWNS)) return;
    model = own_mounts();
    if (model < 0) fail("model of the root");
    build_shared(1);
    close_root(1);
    enter_model(0);
}

/* Who is about to start a job stands in the model for as long as it is copied. */
void enter_model(int inside) {
    if (model >= 0 && setns(inside ? model : host, CLONE_NEWNS)) fail("model of the root");
}

/* In a job: a copy of this machine's mounts instead. */
void leave_model(void) {
    if (model < 0) return;
    enter_model(0);
    if (unshare(CLONE_NEWNS)) fail("mounts");
    model = -1;
}

void build_root(uid_t user) {
    if (spec.num_binds) leave_model();
    int whole = model < 0;
    if (whole) build_shared(user != 0);
    umask(022);
    make_disk(user);
    unsigned long quiet = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    if (mount("proc", "/proc", "proc", quiet, "hidepid=2") &&
        mount("proc", "/proc", "proc", quiet, NULL))
        fail("/proc");
    if (whole) close_root(user != 0); /* nobody but root mounts a /proc where none is in sight */
}
