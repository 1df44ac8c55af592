/* SPDX-License-Identifier: BSD-3-Clause */
#include "appliance/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "ctrl/rundir.h"

#define ANSWER_TIMEOUT_S 5
#define STOP_TIMEOUT_S   60

int
client_name(const char *given, char *name, size_t len)
{
	int rc;

	if (given != NULL) {
		snprintf(name, len, "%s", given);
		return 0;
	}
	rc = rundir_only(name, len);
	if (rc == -ENOENT)
		fprintf(stderr,
			"carryall: no appliance runs here; start one with "
			"carryall run -f FILE\n");
	else if (rc != 0)
		fprintf(stderr,
			"carryall: several appliances run here (ls %s); say "
			"which one\n",
			RUNDIR_ROOT);
	return rc == 0 ? 0 : -1;
}

static int
client_connect(const char *name, int timeout_s)
{
	struct timeval patience = { .tv_sec = timeout_s };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%.64s/control.sock",
		RUNDIR_ROOT, name);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	return fd;
}

static int
request_send(int fd, const char *verb)
{
	char line[64];
	int n = snprintf(line, sizeof(line), "%s\n", verb);

	return send(fd, line, (size_t)n, MSG_NOSIGNAL) == n ? 0 : -EIO;
}

/* All bytes until the end, NUL-terminated; NULL on error or time-out. */
static char *
answer_read(int fd)
{
	char piece[16384], *text = NULL;
	size_t have = 0;
	FILE *out = open_memstream(&text, &have);
	ssize_t n = 0;

	if (out == NULL)
		return NULL;
	while ((n = recv(fd, piece, sizeof(piece), 0)) > 0)
		fwrite(piece, 1, (size_t)n, out);
	if (fclose(out) == 0 && n == 0)
		return text;
	free(text);
	return NULL;
}

static void
connect_explain(const char *name, int rc)
{
	if (rc == -ENOENT)
		fprintf(stderr,
			"carryall: no appliance \"%s\" runs here (ls %s)\n",
			name, RUNDIR_ROOT);
	else if (rc == -ECONNREFUSED)
		fprintf(stderr,
			"carryall: the control plane of \"%s\" is not running; "
			"instances that live go on. Start it again with "
			"carryall run -f FILE, or end all with carryall stop "
			"%s\n",
			name, name);
	else
		fprintf(stderr, "carryall: %s: %s\n", name, strerror(-rc));
}

json_t *
client_ask(const char *name, const char *verb, int quiet)
{
	int fd = client_connect(name, ANSWER_TIMEOUT_S);
	json_t *answer = NULL;
	char *text;

	if (fd < 0) {
		if (!quiet)
			connect_explain(name, fd);
		return NULL;
	}
	if (request_send(fd, verb) == 0 && (text = answer_read(fd)) != NULL) {
		answer = json_loads(text, 0, NULL);
		free(text);
	}
	close(fd);
	if (answer == NULL && !quiet)
		fprintf(stderr, "carryall: \"%s\" gave no answer within %d s\n",
			name, ANSWER_TIMEOUT_S);
	return answer;
}

int
client_stop(const char *name)
{
	int fd = client_connect(name, STOP_TIMEOUT_S);
	char *text;
	int rc;

	if (fd < 0)
		return -1;
	if (request_send(fd, "stop") != 0) {
		close(fd);
		return -1;
	}
	text = answer_read(fd);
	rc = text != NULL ? 0 : -1;
	close(fd);
	free(text);
	return rc;
}
