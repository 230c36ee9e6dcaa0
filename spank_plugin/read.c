/*
 * read.c - a whole read, whatever interrupts it.
 */
#include <errno.h>
#include <unistd.h>

#include "shim.h"

size_t read_all(int fd, char *buffer, size_t size)
{
	size_t got = 0;

	while (got < size) {
		ssize_t part = read(fd, buffer + got, size - got);

		if (part < 0 && errno == EINTR)
			continue;
		if (part <= 0)
			break;
		got += (size_t)part;
	}
	return got;
}
