/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A capture is a flag and a buffer. The flag, a word of `vnics`, makes the
 * programs copy each frame of the VNIC, with struct xdp_capture ahead, into
 * the perf event array `captures`; its buffers are this process's, and go
 * when it goes, so that a flag left set costs a failing call per packet and
 * no more. RUN_DIR/capture.lock keeps a second capture out: the array has
 * one buffer per CPU.
 */
#include "ctrl/xdp/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "ctrl/xdp/pins.h"
#include "ctrl/xdp/record.h"

#define BUFFER_PAGES 256 /* per CPU */
#define WAIT_MS      10

_Static_assert(XDP_CAPTURE_MAX <= CAPTURE_COPY_MAX, "a file holds any");

struct capture {
	const struct capture_options *options;
	struct capture_file file;
	uint32_t vnic;
	int lock, captures;
	struct xdp_vnic *vnics; /* mapped */
	unsigned int n_vnics;
	struct perf_buffer *buffer;
};

/* The copy's size is rounded up; the header has the frame's. */
static void
on_sample(void *ctx, int cpu, void *data, __u32 size)
{
	struct capture *c = ctx;
	struct xdp_capture head;
	struct capture_frame frame;

	(void)cpu;
	if (size < sizeof(head))
		return;
	memcpy(&head, data, sizeof(head));
	if (head.vnic != c->vnic)
		return;
	size -= (uint32_t)sizeof(head);
	frame = (struct capture_frame){
		.time_ns = head.time_ns,
		.bytes = (char *)data + sizeof(head),
		.have = size < head.length ? size : head.length,
		.length = head.length,
		.from_instance = head.from_vnic != 0,
		.dropped = head.drop >= 0,
	};
	capture_file_put(&c->file, &frame);
}

static void
on_lost(void *ctx, int cpu, __u64 n)
{
	struct capture *c = ctx;

	(void)cpu;
	c->file.lost += n;
}

/* Devices are recorded in the order of VNICs; the record is read backwards. */
struct search {
	const char *name;
	uint32_t seen;  /* devices so far */
	uint32_t after; /* devices made after the one that is looked for */
	bool found;
};

static void
search_step(void *ctx, const struct record_entry *e)
{
	struct search *s = ctx;

	if (e->is_addr)
		return;
	if (!s->found && strcmp(e->device, s->name) == 0) {
		s->found = true;
		s->after = s->seen;
	}
	s->seen++;
}

/*
 * The VNIC's number, by the run directory alone: whoever captures need not be
 * in the appliance's network namespace.
 */
static int
find_vnic(const char *run_dir, const char *name, unsigned int n, uint32_t *i)
{
	struct search s = { .name = name };
	int err = record_walk(run_dir, search_step, &s);

	if (err)
		return err;
	if (!s.found || s.seen - 1 - s.after >= n)
		return -ENOENT;
	*i = s.seen - 1 - s.after;
	return 0;
}

static int
map_vnics(struct capture *c, const char *run_dir)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);
	int fd = pins_get(run_dir, PINS_VNICS), err = 0;

	if (fd < 0)
		return fd;
	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		err = -errno;
	c->n_vnics = info.max_entries;
	if (!err) {
		c->vnics = mmap(NULL, sizeof(*c->vnics) * c->n_vnics,
			PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (c->vnics == MAP_FAILED) {
			c->vnics = NULL;
			err = -errno;
		}
	}
	close(fd);
	return err;
}

/* The buffers leave the array when the descriptor that put them in goes. */
static int
make_buffer(struct capture *c, const char *run_dir)
{
	c->captures = pins_get(run_dir, PINS_CAPTURES);
	if (c->captures < 0)
		return c->captures;
	c->buffer = perf_buffer__new(
		c->captures, BUFFER_PAGES, on_sample, on_lost, c, NULL);
	return c->buffer ? 0 : -errno;
}

static int
open_all(struct capture *c, const char *run_dir, const char *name)
{
	int err = map_vnics(c, run_dir);

	if (!err)
		err = find_vnic(run_dir, name, c->n_vnics, &c->vnic);
	if (!err)
		c->lock = capture_lock(run_dir);
	if (!err && c->lock < 0)
		err = c->lock;
	return err ? err : make_buffer(c, run_dir);
}

static void
set_flag(struct capture *c, uint32_t on)
{
	__atomic_store_n(&c->vnics[c->vnic].capture, on, __ATOMIC_RELEASE);
}

static void
close_all(struct capture *c)
{
	perf_buffer__free(c->buffer);
	if (c->captures >= 0)
		close(c->captures);
	if (c->lock >= 0)
		close(c->lock);
	if (c->vnics)
		munmap(c->vnics, sizeof(*c->vnics) * c->n_vnics);
}

/*
 * Wait a little for packets, and see whether the caller wants an end. The
 * buffers' own wake-ups only shorten the wait: they are interrupts of the
 * CPU to itself, and were seen not to come on a virtual machine.
 */
static bool
stop_asked(const struct capture *c)
{
	struct pollfd p[2] = {
		{ .fd = perf_buffer__epoll_fd(c->buffer), .events = POLLIN },
		{ .fd = c->options->stop_fd, .events = POLLIN },
	};

	return poll(p, 2, WAIT_MS) > 0 && p[1].revents;
}

static int
read_packets(struct capture *c)
{
	bool stop = false;
	int err = 0;

	while (!c->file.ended && !stop && !err) {
		stop = stop_asked(c);
		err = perf_buffer__consume(c->buffer);
		capture_file_flush(&c->file);
	}
	return err < 0 ? err : 0;
}

static int
run(struct capture *c)
{
	int err, end;

	set_flag(c, 1);
	err = read_packets(c);
	set_flag(c, 0);
	end = capture_file_close(&c->file);
	return err ? err : end;
}

int
xdp_capture(const char *run_dir, const char *name,
	const struct capture_options *options, struct capture_result *result,
	char *why, size_t len)
{
	struct capture c = { .options = options, .lock = -1, .captures = -1 };
	int err = open_all(&c, run_dir, name);

	why[0] = '\0';
	if (!err)
		err = capture_file_open(&c.file, options, name, why, len);
	if (!err)
		err = run(&c);
	close_all(&c);
	result->packets = c.file.packets;
	result->lost = c.file.lost;
	return err ? capture_explain(err, name, why, len) : 0;
}
