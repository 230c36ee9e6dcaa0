/*
 * engine.c - the two requests to Docker Engine that a job's end needs, in HTTP/1.0:
 * the answer ends with the connection.
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "recorded.h"
#include "shim.h"

enum { PATIENCE = 10 };		/* seconds for an answer, or the next part of it */
enum { OK = 200, DONE = 204, GONE = 404, GOING = 409 };

#define REMOVE "DELETE /containers/%s?force=1&v=1"
/* Answers when it is removed, or is not there. */
#define WAIT "POST /containers/%s/wait?condition=removed"

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_sec = PATIENCE };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (strlen(path) < sizeof(address.sun_path)) {
		strcpy(address.sun_path, path);
		if (!setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) &&
		    !setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) &&
		    !connect(fd, (struct sockaddr *)&address, sizeof(address)))
			return fd;
	}
	close(fd);
	return -1;
}

/* The status of a whole answer, in *text from its first line on; 0: there is none. */
static int ask(const char *path, const char *what, const char *container, char *text, size_t most)
{
	int fd = connect_to(path), status = 0, size;

	if (fd < 0)
		return 0;
	size = snprintf(text, most, what, container);
	if (size > 0 && (size_t)size < most)
		size += snprintf(text + size, most - (size_t)size,
				 " HTTP/1.0\r\nHost: engine\r\nUser-Agent: socker\r\n"
				 "Content-Length: 0\r\n\r\n");
	if (size > 0 && (size_t)size < most && send(fd, text, (size_t)size, MSG_NOSIGNAL) == size) {
		text[read_all(fd, text, most - 1)] = '\0';
		if (sscanf(text, "HTTP/1.%*1[01] %3d", &status) != 1)
			status = 0;
	}
	close(fd);
	return status;
}

/* By itself, as it does when the first process has ended: it is at it. */
static int wait_for_removal(const char *path, const char *container)
{
	char text[4096];
	int status = ask(path, WAIT, container, text, sizeof(text));

	if (status == GONE)
		return 0;
	/* The header comes at once; what follows it when all is done. */
	return status == OK && strstr(text, "StatusCode") ? 0 : -1;
}

int engine_remove(const char *socket_path, const char *container)
{
	char text[4096];
	int status = ask(socket_path, REMOVE, container, text, sizeof(text));

	if (status == GOING)
		return wait_for_removal(socket_path, container);
	return status == DONE || status == GONE ? 0 : -1;
}
