/*
 * engine.c - the two requests to Docker Engine that a job's end needs, in HTTP/1.0:
 * the answer ends with the connection.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "recorded.h"
#include "shim.h"

enum { PATIENCE = 10 };		/* seconds for an answer */
enum { DONE = 204, GONE = 404, GOING = 409 };

#define REST " HTTP/1.0\r\nHost: engine\r\nUser-Agent: socker\r\nContent-Length: 0\r\n\r\n"
#define REMOVE "DELETE /containers/%s?force=1&v=1" REST
/* Its answer ends when it is removed. */
#define WAIT "POST /containers/%s/wait?condition=removed" REST

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

static long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000LL + time.tv_nsec / 1000000;
}

/* How much came until the answer's end, or the time's. */
static size_t read_answer(int fd, char *text, size_t most)
{
	long long end = now() + PATIENCE * 1000, left;
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	size_t got = 0;

	while (got < most && (left = end - now()) > 0 && poll(&ready, 1, (int)left) > 0) {
		ssize_t part = read(fd, text + got, most - got);

		if (part <= 0)
			break;
		got += (size_t)part;
	}
	return got;
}

/* The status of an answer, of which the first line has come at least; 0: there is none. */
static int ask(const char *path, const char *what, const char *container)
{
	int fd = connect_to(path), status = 0, size;
	char text[1024];

	if (fd < 0)
		return 0;
	size = snprintf(text, sizeof(text), what, container);
	if (size > 0 && (size_t)size < sizeof(text) &&
	    send(fd, text, (size_t)size, MSG_NOSIGNAL) == size) {
		text[read_answer(fd, text, sizeof(text) - 1)] = '\0';
		if (sscanf(text, "HTTP/1.%*1[01] %3d", &status) != 1)
			status = 0;
	}
	close(fd);
	return status;
}

/*
 * The engine removes it by itself when its first process has ended, and may be at it.
 * What it says at the end of that it says of a removal that failed, too: it is asked again.
 */
int engine_remove(const char *socket_path, const char *container)
{
	int status = ask(socket_path, REMOVE, container);

	if (status == GOING && ask(socket_path, WAIT, container))
		status = ask(socket_path, REMOVE, container);
	return status == DONE || status == GONE ? 0 : -1;
}
