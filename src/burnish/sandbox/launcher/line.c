/* Descriptors from one process to another. */
#include "launcher.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define MOST 3

union rights {
    struct cmsghdr align;
    char data[CMSG_SPACE(MOST * sizeof(int))];
};

int send_descriptors(int socket, const int *fds, int num) {
    char byte = 'j';
    struct iovec part = {&byte, 1};
    union rights control = {0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.data};
    message.msg_controllen = CMSG_SPACE(num * sizeof(int));
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(num * sizeof(int));
    memcpy(CMSG_DATA(header), fds, num * sizeof(int));
    return sendmsg(socket, &message, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

int receive_descriptors(int socket, int *fds, int num) {
    char byte;
    struct iovec part = {&byte, 1};
    union rights control = {0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.data};
    message.msg_controllen = sizeof control.data;
    ssize_t size;
    while ((size = recvmsg(socket, &message, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR) {}
    struct cmsghdr *header = size == 1 ? CMSG_FIRSTHDR(&message) : NULL;
    if (!header || header->cmsg_len != CMSG_LEN(num * sizeof(int))) return 0;
    memcpy(fds, CMSG_DATA(header), num * sizeof(int));
    return 1;
}
