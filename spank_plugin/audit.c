/*
 * audit.c - the audit's lines (pycontrol/audit.py) where no Python writes them.  Each is
 * a template of Python's with marks, which no JSON has, for what is known later.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "recorded.h"
#include "shim.h"

/* audit.MARKS. */
enum { TIME = '\1', STEP = '\2', SECONDS = '\3' };

#define SYSLOG "/dev/log"
#define PRIORITY "<86>"		/* authpriv, info (RFC 5424, 6.2.1) */

/* Opened anew each time: it may be rotated. */
int audit_open(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
		      0600);
	struct stat status;

	if (fd >= 0 && (fstat(fd, &status) || !S_ISREG(status.st_mode))) {
		close(fd);
		return -1;
	}
	return fd;
}

/* RFC 3339, in UTC, with milliseconds. */
static void put_time(FILE *out, long long when)
{
	time_t seconds = (time_t)(when / 1000);
	char text[64];
	struct tm parts;

	if (gmtime_r(&seconds, &parts) && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts))
		fprintf(out, "%s.%03lldZ", text, when % 1000);
}

static void put(FILE *out, char mark, const struct audit_facts *facts)
{
	if (mark == STEP)
		fprintf(out, "%u", facts->step);
	else if (mark == TIME && facts->when)
		put_time(out, facts->when);
	else if (mark == SECONDS && facts->when)
		fprintf(out, "%.3f", (double)facts->milliseconds / 1000);
	else if (mark == AUDIT_STATUS && facts->status)
		fputs(facts->status, out);
	else
		fputc(mark, out);
}

char *audit_fill(const char *template, const struct audit_facts *facts)
{
	char *line = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&line, &size);

	for (; out && *template; template++)
		put(out, *template, facts);
	if (!out || fclose(out)) {
		free(line);
		return NULL;
	}
	return line;
}

/* Never waits: what a daemon that hangs does not take is lost. */
static int tell_syslog(const char *line)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = SYSLOG };
	int channel = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), rc = 0;
	char *text = NULL;

	if (channel < 0)
		return -1;
	if (asprintf(&text, PRIORITY "socker: %s", line) < 0 ||
	    (sendto(channel, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&address,
		    sizeof(address)) < 0 &&
	     errno != ENOENT && errno != ECONNREFUSED))	/* no syslog here */
		rc = -1;
	free(text);
	close(channel);
	return rc;
}

int audit_write(int log, bool syslog, char *line)
{
	size_t size = strlen(line);
	int rc = 0;

	if (log >= 0) {
		/* In one write, with its end. */
		line[size] = '\n';
		rc = write(log, line, size + 1) == (ssize_t)size + 1 ? 0 : -1;
		line[size] = '\0';
	}
	return syslog && tell_syslog(line) ? -1 : rc;
}
