/*
 * syscalls.c - system calls that not every libc wraps, each with one error path:
 * -1 with errno.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>

#include "task.h"

enum { PROC_ROOT = 1 };	/* inode of /proc itself */

#ifndef STATX_MNT_ID
#define STATX_MNT_ID 0x1000
#endif

int sys_openat2(int dir, const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how how = { .flags = flags | O_CLOEXEC, .resolve = resolve };

	return (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
}

int sys_open_tree(int dir, const char *path, unsigned flags)
{
	return (int)syscall(SYS_open_tree, dir, path, flags);
}

int sys_move_mount(int tree, int target)
{
	return (int)syscall(SYS_move_mount, tree, "", target, "",
			    MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

int sys_mount_setattr(int fd, unsigned flags, struct mount_attr *attr)
{
	return (int)syscall(SYS_mount_setattr, fd, "", flags | AT_EMPTY_PATH,
			    attr, sizeof(*attr));
}

bool sys_same_mount(int one, int other)
{
	struct statx a, b;

	return !statx(one, "", AT_EMPTY_PATH, STATX_MNT_ID, &a) &&
	       !statx(other, "", AT_EMPTY_PATH, STATX_MNT_ID, &b) &&
	       (a.stx_mask & b.stx_mask & STATX_MNT_ID) &&
	       a.stx_mnt_id == b.stx_mnt_id;
}

bool sys_same_place(int one, int other)
{
	struct stat a, b;

	return sys_same_mount(one, other) && !fstat(one, &a) && !fstat(other, &b) &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

bool sys_is_of_a_process(int fd)
{
	struct stat status;
	struct statfs system;

	return fstat(fd, &status) || fstatfs(fd, &system) ||
	       (system.f_type == PROC_SUPER_MAGIC && status.st_ino != PROC_ROOT);
}
