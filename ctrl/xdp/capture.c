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
#include <sys/file.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "ctrl/xdp/pins.h"
#include "ctrl/xdp/record.h"

#define BUFFER_PAGES 256 /* per CPU */
#define WAIT_MS      10

/* The header of a pcap file, and of a packet in it; host byte order. */
struct pcap_file {
	uint32_t magic;
	uint16_t major, minor;
	int32_t zone;
	uint32_t accuracy;
	uint32_t snap;
	uint32_t link_type;
};

struct pcap_packet {
	uint32_t s, ns;
	uint32_t kept, length;
};

_Static_assert(sizeof(struct pcap_file) == 24, "as in the file");
_Static_assert(sizeof(struct pcap_packet) == 16, "as in the file");

#define PCAP_MAGIC_NS   0xa1b23c4du
#define PCAP_ETHERNET   1
#define PCAP_SNAP_BYTES 262144

struct capture {
	const struct xdp_capture_options *options;
	struct xdp_capture_result *result;
	FILE *out;
	uint32_t vnic;
	int64_t clock_offset_ns; /* CLOCK_REALTIME less CLOCK_MONOTONIC */
	bool ended;
	int lock, captures;
	struct xdp_vnic *vnics; /* mapped */
	unsigned int n_vnics;
	struct perf_buffer *buffer;
};

static int64_t
clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static void
write_packet(struct capture *c, const struct xdp_capture *head,
	const void *frame, uint32_t have)
{
	uint64_t ns = head->time_ns + (uint64_t)c->clock_offset_ns;
	uint32_t snap = c->options->snap_bytes;
	struct pcap_packet p = {
		.s = (uint32_t)(ns / 1000000000),
		.ns = (uint32_t)(ns % 1000000000),
		.kept = snap && snap < have ? snap : have,
		.length = head->length,
	};

	if (fwrite(&p, sizeof(p), 1, c->out) != 1 ||
		fwrite(frame, 1, p.kept, c->out) != p.kept) {
		c->ended = true;
		return;
	}
	c->result->packets++;
	if (c->result->packets == c->options->max_packets)
		c->ended = true;
}

/* The copy's size is rounded up; the header has the frame's. */
static void
on_sample(void *ctx, int cpu, void *data, __u32 size)
{
	struct capture *c = ctx;
	struct xdp_capture head;
	uint32_t have;

	(void)cpu;
	if (size < sizeof(head) || c->ended)
		return;
	memcpy(&head, data, sizeof(head));
	have = size - (uint32_t)sizeof(head);
	if (have > head.length)
		have = head.length;
	if (head.vnic == c->vnic && (head.drop < 0 || c->options->drops))
		write_packet(c, &head, (char *)data + sizeof(head), have);
}

static void
on_lost(void *ctx, int cpu, __u64 n)
{
	struct capture *c = ctx;

	(void)cpu;
	c->result->lost += n;
}

static int
write_file_header(FILE *out)
{
	struct pcap_file f = {
		.magic = PCAP_MAGIC_NS,
		.major = 2,
		.minor = 4,
		.snap = PCAP_SNAP_BYTES,
		.link_type = PCAP_ETHERNET,
	};

	return fwrite(&f, sizeof(f), 1, out) == 1 && !fflush(out) ? 0 : -EIO;
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

static int
take_lock(struct capture *c, const char *run_dir)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/capture.lock", run_dir);
	c->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (c->lock < 0)
		return -errno;
	if (flock(c->lock, LOCK_EX | LOCK_NB))
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	return 0;
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
		err = take_lock(c, run_dir);
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

	while (!c->ended && !stop && !err) {
		stop = stop_asked(c);
		err = perf_buffer__consume(c->buffer);
		if (fflush(c->out))
			c->ended = true;
	}
	return err < 0 ? err : 0;
}

static int
explain(int err, const char *name, char *why, size_t len)
{
	if (err == -ENOENT)
		snprintf(why, len,
			"no VNIC %s here; carryall status lists them", name);
	else if (err == -EBUSY)
		snprintf(why, len,
			"another capture of this appliance is running");
	else if (err == -EPERM || err == -EACCES)
		snprintf(why, len, "not permitted; run as root");
	else
		snprintf(why, len, "cannot capture: %s", strerror(-err));
	return err;
}

int
xdp_capture(const char *run_dir, const char *name,
	const struct xdp_capture_options *options, FILE *out,
	struct xdp_capture_result *result, char *why, size_t len)
{
	struct capture c = { .options = options,
		.result = result,
		.out = out,
		.lock = -1,
		.captures = -1 };
	int err = open_all(&c, run_dir, name);

	memset(result, 0, sizeof(*result));
	c.clock_offset_ns =
		clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_MONOTONIC);
	if (!err)
		err = write_file_header(out);
	if (!err) {
		set_flag(&c, 1);
		err = read_packets(&c);
		set_flag(&c, 0);
	}
	close_all(&c);
	return err ? explain(err, name, why, len) : 0;
}
