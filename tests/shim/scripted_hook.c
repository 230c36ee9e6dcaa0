/*
 * scripted_hook.c - stands in for socker_python.so in the shim's tests.
 *
 * Plays the file that the plugstack argument python= names, a line each:
 *   send TEXT     one record; \0 in it is a NUL
 *   descriptor    the record 'N' with this process's own mount namespace
 *   stderr TEXT   as a traceback would come
 *   show          records that tell what the request held
 *   log           the options and the directory, to stderr
 *   keep          what the request asks, into the file of its plan
 *   run COMMAND   by a shell
 *   sleep N | crash | exit N
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bridge.h"

static size_t unescape(char *text)
{
	char *out = text;

	for (char *in = text; *in; in++) {
		if (in[0] == '\\' && in[1] == '0') {
			*out++ = '\0';
			in++;
		} else {
			*out++ = *in;
		}
	}
	return (size_t)(out - text);
}

static void send_namespace(int channel)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec part = { .iov_base = "Nmnt", .iov_len = 4 };
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	int fd = open("/proc/self/ns/mnt", O_RDONLY);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	sendmsg(channel, &message, 0);
	close(fd);
}

static void show(const struct step_request *request, int channel)
{
	char text[512];

	snprintf(text, sizeof(text), "Tjob %u uid %u groups %d:%u,%u node %s euid %u umask %03o",
		 request->job_id, request->uid, request->group_count,
		 request->groups[0], request->groups[1], request->node, geteuid(), umask(0));
	send(channel, text, strlen(text), 0);
	for (char **option = request->options; *option; option++) {
		snprintf(text, sizeof(text), "Toption %s", *option);
		send(channel, text, strlen(text), 0);
	}
}

static void keep(const struct step_request *request)
{
	FILE *file = fopen(request->plan_file, "we");

	if (file) {
		fwrite(request->asked, request->asked_size, 1, file);
		fclose(file);
	}
}

int socker_hook_main(const char *script, struct step_request *request)
{
	FILE *file = fopen(script, "re");
	char line[4096];

	while (file && fgets(line, sizeof(line), file)) {
		char *rest = line + strcspn(line, " \n");

		line[strcspn(line, "\n")] = '\0';
		if (*rest)
			*rest++ = '\0';
		if (!strcmp(line, "send")) {
			size_t size = unescape(rest);

			for (int i = 0; i < request->channel_count; i++)
				send(request->channels[i], rest, size, 0);
		} else if (!strcmp(line, "descriptor"))
			for (int i = 0; i < request->channel_count; i++)
				send_namespace(request->channels[i]);
		else if (!strcmp(line, "stderr"))
			fprintf(stderr, "%s\n", rest);
		else if (!strcmp(line, "run") && system(rest) < 0)
			fprintf(stderr, "%s: no shell\n", rest);
		else if (!strcmp(line, "show"))
			show(request, request->channels[0]);
		else if (!strcmp(line, "log")) {
			fprintf(stderr, "directory %s\n", request->cwd);
			for (char **option = request->options; *option; option++)
				fprintf(stderr, "option %s\n", *option);
		}
		else if (!strcmp(line, "keep"))
			keep(request);
		else if (!strcmp(line, "sleep"))
			sleep((unsigned)atoi(rest));
		else if (!strcmp(line, "crash"))
			*(volatile int *)0 = 0;
		else if (!strcmp(line, "exit"))
			return atoi(rest);
	}
	return 1;
}
