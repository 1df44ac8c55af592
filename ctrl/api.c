/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/api.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS_MAX 64
#define REQUEST_MAX 64
#define PATIENCE_US 5000000ull

struct client {
	LIST_ENTRY(client) link;
	struct api *api;
	int fd;
	sd_event_source *io, *timer;
	char request[REQUEST_MAX];
	size_t have;
	char *answer;
	size_t len, sent;
};

struct api {
	sd_event *event;
	int fd;
	sd_event_source *io;
	api_handler handler;
	void *ctx;
	unsigned int n_clients;
	LIST_HEAD(, client) clients;
};

static void
client_free(struct client *c)
{
	LIST_REMOVE(c, link);
	c->api->n_clients--;
	sd_event_source_disable_unref(c->io);
	sd_event_source_disable_unref(c->timer);
	close(c->fd);
	free(c->answer);
	free(c);
}

static int
on_impatience(sd_event_source *source, uint64_t usec, void *arg)
{
	(void)source;
	(void)usec;
	client_free(arg);
	return 0;
}

static void
client_write(struct client *c)
{
	ssize_t n = send(c->fd, c->answer + c->sent, c->len - c->sent,
		MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n >= 0)
		c->sent += (size_t)n;
	if (n < 0 || c->sent == c->len)
		client_free(c);
}

/* A whole line is there: answer it. */
static void
client_answer(struct client *c)
{
	json_t *answer = c->api->handler(c->api->ctx, c->request);

	if (answer == NULL) {
		/* It waits for our end; the kernel closes it then. */
		c->timer = sd_event_source_disable_unref(c->timer);
		sd_event_source_set_enabled(c->io, SD_EVENT_OFF);
		return;
	}
	c->answer = json_dumps(answer, JSON_COMPACT);
	json_decref(answer);
	if (c->answer == NULL) {
		client_free(c);
		return;
	}
	c->len = strlen(c->answer);
	sd_event_source_set_io_events(c->io, EPOLLOUT);
	client_write(c);
}

static void
client_read(struct client *c)
{
	ssize_t n = recv(c->fd, c->request + c->have,
		sizeof(c->request) - 1 - c->have, MSG_DONTWAIT);
	char *end;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		client_free(c);
		return;
	}
	c->have += (size_t)n;
	c->request[c->have] = '\0';
	end = strchr(c->request, '\n');
	if (end != NULL) {
		*end = '\0';
		client_answer(c);
	} else if (c->have == sizeof(c->request) - 1) {
		client_free(c);
	}
}

static int
on_client(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct client *c = arg;

	(void)source;
	(void)fd;
	(void)events;
	if (c->answer != NULL)
		client_write(c);
	else
		client_read(c);
	return 0;
}

static int
client_new(struct api *api, int fd)
{
	struct client *c = calloc(1, sizeof(*c));
	int rc;

	if (c == NULL)
		return -ENOMEM;
	c->api = api;
	c->fd = fd;
	rc = sd_event_add_io(api->event, &c->io, fd, EPOLLIN, on_client, c);
	if (rc >= 0)
		rc = sd_event_add_time_relative(api->event, &c->timer,
			CLOCK_MONOTONIC, PATIENCE_US, 0, on_impatience, c);
	if (rc < 0) {
		sd_event_source_disable_unref(c->io);
		free(c);
		return rc;
	}
	LIST_INSERT_HEAD(&api->clients, c, link);
	api->n_clients++;
	return 0;
}

static int
on_connect(sd_event_source *source, int listener, uint32_t events, void *arg)
{
	struct api *api = arg;
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)source;
	(void)events;
	if (fd < 0)
		return 0;
	if (api->n_clients >= CLIENTS_MAX || client_new(api, fd) != 0)
		close(fd);
	return 0;
}

int
api_create(struct api **out, sd_event *event, const struct rundir *dir,
	api_handler handler, void *ctx)
{
	struct api *api = calloc(1, sizeof(*api));
	int rc;

	if (api == NULL)
		return -ENOMEM;
	api->event = event;
	api->handler = handler;
	api->ctx = ctx;
	LIST_INIT(&api->clients);
	api->fd = rundir_listen(dir, "control", SOCK_STREAM);
	if (api->fd < 0) {
		rc = api->fd;
		free(api);
		return rc;
	}
	rc = sd_event_add_io(
		event, &api->io, api->fd, EPOLLIN, on_connect, api);
	if (rc < 0) {
		close(api->fd);
		free(api);
		return rc;
	}
	*out = api;
	return 0;
}

void
api_free(struct api *api)
{
	if (api == NULL)
		return;
	while (!LIST_EMPTY(&api->clients))
		client_free(LIST_FIRST(&api->clients));
	sd_event_source_disable_unref(api->io);
	close(api->fd);
	free(api);
}
