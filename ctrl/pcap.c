/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/pcap.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

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

static int64_t
clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

int
pcap_begin(struct pcap *p, FILE *out, const struct capture_options *options)
{
	struct pcap_file f = {
		.magic = PCAP_MAGIC_NS,
		.major = 2,
		.minor = 4,
		.snap = PCAP_SNAP_BYTES,
		.link_type = PCAP_ETHERNET,
	};

	*p = (struct pcap){ .out = out,
		.snap_bytes = options->snap_bytes,
		.max_packets = options->max_packets,
		.clock_offset_ns =
			clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_MONOTONIC) };
	return fwrite(&f, sizeof(f), 1, out) == 1 && !fflush(out) ? 0 : -EIO;
}

void
pcap_write(struct pcap *p, uint64_t time_ns, const void *frame, uint32_t have,
	uint32_t length)
{
	uint64_t ns = time_ns + (uint64_t)p->clock_offset_ns;
	struct pcap_packet head = {
		.s = (uint32_t)(ns / 1000000000),
		.ns = (uint32_t)(ns % 1000000000),
		.kept = p->snap_bytes && p->snap_bytes < have ? p->snap_bytes
							      : have,
		.length = length,
	};

	if (p->ended)
		return;
	if (fwrite(&head, sizeof(head), 1, p->out) != 1 ||
		fwrite(frame, 1, head.kept, p->out) != head.kept) {
		p->ended = true;
		return;
	}
	p->packets++;
	if (p->packets == p->max_packets)
		p->ended = true;
}

void
pcap_flush(struct pcap *p)
{
	if (fflush(p->out))
		p->ended = true;
}

int
capture_lock(const char *run_dir)
{
	char path[PATH_MAX];
	int fd, err;

	snprintf(path, sizeof(path), "%s/capture.lock", run_dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (!flock(fd, LOCK_EX | LOCK_NB))
		return fd;
	err = errno == EWOULDBLOCK ? -EBUSY : -errno;
	close(fd);
	return err;
}

int
capture_explain(int err, const char *name, char *why, size_t len)
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
