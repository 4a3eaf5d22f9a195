/* Copies the files of the work folder out of the job: no links, no devices, no surprises. */
#include "launcher.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_DEPTH 16
#define MAX_FILES 20000

static long long bytes_left;
static int files_left;

static void copy_file(int from, int to, const char *name, mode_t mode) {
    static char block[1 << 16];
    int source = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (source < 0) return;
    int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    int target = openat(to, name, flags, mode & 0100 ? 0755 : 0644);
    if (target < 0) {
        close(source);
        return;
    }
    for (ssize_t size; (size = read(source, block, sizeof block)) > 0 && bytes_left > 0;) {
        bytes_left -= size;
        if (write(target, block, size) != size) fail("keeping files");
    }
    close(source);
    close(target);
}

static void copy_folder(int from, int to, int depth) {
    DIR *folder = fdopendir(from);
    if (!folder) return;
    for (struct dirent *entry; (entry = readdir(folder)) && files_left-- > 0 && bytes_left > 0;) {
        const char *name = entry->d_name;
        struct stat info;
        if (!strcmp(name, ".") || !strcmp(name, "..")) continue;
        if (fstatat(from, name, &info, AT_SYMLINK_NOFOLLOW)) continue;
        if (S_ISREG(info.st_mode)) copy_file(from, to, name, info.st_mode);
        if (!S_ISDIR(info.st_mode) || depth >= MAX_DEPTH) continue;
        int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
        int inner = openat(from, name, flags), outer = -1;
        if (!mkdirat(to, name, 0755)) outer = openat(to, name, flags);
        if (inner >= 0 && outer >= 0) copy_folder(inner, outer, depth + 1);
        else if (inner >= 0) close(inner);
        if (outer >= 0) close(outer);
    }
    closedir(folder);
}

void copy_out(int to) {
    bytes_left = spec.disk;
    files_left = MAX_FILES;
    int from = open("/work", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (from >= 0) copy_folder(from, to, 0);
}
