/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames come in, pass the filter or not, and go into the file of the moment:
 *
 *    put -> filter -> room? --yes-----------------> | head | packet ... |
 *                       | no, one file: end              | totals |
 *                       +-- no, a ring of files: totals into this one, then
 *                           path.(begun % files) from its start
 *
 * Room is what is left of the bound less what the totals take, so a file is
 * never longer than was asked for, and whole whenever it is left. The filter
 * sees all bytes that were copied, not only those that are kept.
 */
#include "ctrl/capture_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include <pcap/pcap.h>

#include "ctrl/pcapng.h"

static int64_t
clock_read_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static uint32_t
snap_bytes(const struct capture_options *o)
{
	return o->snap_bytes != 0 ? o->snap_bytes : CAPTURE_SNAP_BYTES;
}

/* --- the filter --- */

static int
filter_compile(struct capture_file *f, char *why, size_t len)
{
	const char *text = f->options->filter;
	pcap_t *dead;
	int err = 0;

	if (text == NULL)
		return 0;
	if (strlen(text) > PCAPNG_TEXT_MAX) {
		snprintf(why, len, "the filter is longer than %d bytes",
			PCAPNG_TEXT_MAX);
		return -EINVAL;
	}
	f->filter = calloc(1, sizeof(*f->filter));
	dead = pcap_open_dead(DLT_EN10MB, CAPTURE_SNAP_BYTES);
	if (f->filter == NULL || dead == NULL) {
		err = -ENOMEM;
	} else if (pcap_compile(dead, f->filter, text, 1,
			   PCAP_NETMASK_UNKNOWN) != 0) {
		snprintf(
			why, len, "filter \"%s\": %s", text, pcap_geterr(dead));
		err = -EINVAL;
	}
	if (dead != NULL)
		pcap_close(dead);
	return err;
}

static void
filter_free(struct capture_file *f)
{
	if (f->filter != NULL)
		pcap_freecode(f->filter);
	free(f->filter);
	f->filter = NULL;
}

static bool
passes(const struct capture_file *f, const struct capture_frame *c)
{
	return f->filter == NULL || bpf_filter(f->filter->bf_insns, c->bytes,
					    c->length, c->have) != 0;
}

/* --- files --- */

static void
fail(struct capture_file *f, int err)
{
	f->ended = true;
	/* Whoever reads a pipe may go at any time. */
	if (f->err == 0 && err != -EPIPE)
		f->err = err;
}

/* What pcapng_put_*() returned. */
static void
account(struct capture_file *f, int n)
{
	if (n < 0)
		fail(f, n);
	else
		f->bytes += (uint64_t)n;
}

static FILE *
file_open(const struct capture_file *f)
{
	const struct capture_options *o = f->options;
	char path[PATH_MAX];

	if (strcmp(o->path, "-") == 0)
		return stdout;
	if (o->files == 0)
		return fopen(o->path, "we");
	if (snprintf(path, sizeof(path), "%s.%u", o->path,
		    f->begun % o->files) >= (int)sizeof(path)) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	return fopen(path, "we");
}

static void
file_begin(struct capture_file *f)
{
	char application[128];
	struct pcapng_head head = {
		.application = application,
		.interface = f->interface,
		.filter = f->options->filter,
		.snap_bytes = snap_bytes(f->options),
	};

	snprintf(application, sizeof(application), "carryall %s, %s",
		CARRYALL_VERSION, f->options->appliance);
	f->out = file_open(f);
	if (f->out == NULL) {
		fail(f, -errno);
		return;
	}
	f->begun++;
	f->bytes = 0;
	account(f, pcapng_put_head(f->out, &head));
	capture_file_flush(f);
}

static void
file_end(struct capture_file *f)
{
	struct pcapng_totals totals = {
		.begin_ns = f->begin_ns,
		.end_ns = (uint64_t)(clock_read_ns(CLOCK_MONOTONIC) +
				     f->clock_offset_ns),
		.received = f->received + f->lost,
		.dropped = f->lost,
		.accepted = f->accepted,
	};

	if (f->out == NULL)
		return;
	if (f->err == 0)
		account(f, pcapng_put_totals(f->out, &totals));
	capture_file_flush(f);
	if (f->out != stdout && fclose(f->out) != 0)
		fail(f, -errno);
	f->out = NULL;
}

static bool
has_room(const struct capture_file *f, uint32_t kept)
{
	uint64_t max = f->options->max_bytes;

	return max == 0 ||
	       f->bytes + PCAPNG_PACKET_BYTES(kept) + PCAPNG_TOTALS_BYTES <=
		       max;
}

static int
bound_check(const struct capture_options *o, char *why, size_t len)
{
	if (o->max_bytes == 0 || o->max_bytes >= CAPTURE_FILE_MIN)
		return 0;
	snprintf(why, len, "a file bounded to less than %uK may hold no frame",
		CAPTURE_FILE_MIN >> 10);
	return -EINVAL;
}

int
capture_file_open(struct capture_file *f, const struct capture_options *options,
	const char *interface, char *why, size_t len)
{
	int64_t now_ns = clock_read_ns(CLOCK_REALTIME);
	int err;

	*f = (struct capture_file){
		.options = options,
		.interface = interface,
		.clock_offset_ns = now_ns - clock_read_ns(CLOCK_MONOTONIC),
		.begin_ns = (uint64_t)now_ns,
	};
	err = bound_check(options, why, len);
	if (err == 0)
		err = filter_compile(f, why, len);
	if (err == 0) {
		file_begin(f);
		err = f->err;
		if (err != 0)
			snprintf(why, len, "%s: %s", options->path,
				strerror(-err));
	}
	if (err != 0) {
		file_end(f);
		filter_free(f);
	}
	return err;
}

/* Find room for a frame, or end. */
static void
make_room(struct capture_file *f, uint32_t kept)
{
	if (has_room(f, kept))
		return;
	if (f->options->files == 0) {
		f->ended = true;
		return;
	}
	file_end(f);
	if (!f->ended)
		file_begin(f);
	if (!f->ended && !has_room(f, kept))
		fail(f, -EFBIG);
}

void
capture_file_put(struct capture_file *f, const struct capture_frame *c)
{
	uint32_t snap = snap_bytes(f->options);
	struct pcapng_packet packet = {
		.time_ns = c->time_ns + (uint64_t)f->clock_offset_ns,
		.frame = c->bytes,
		.kept = snap < c->have ? snap : c->have,
		.length = c->length,
		.way = c->from_instance ? PCAPNG_OUTBOUND : PCAPNG_INBOUND,
	};

	if (f->ended || (c->dropped && !f->options->drops))
		return;
	f->received++;
	if (!passes(f, c))
		return;
	f->accepted++;
	make_room(f, packet.kept);
	if (f->ended)
		return;
	account(f, pcapng_put_packet(f->out, &packet));
	if (!f->ended && ++f->packets == f->options->max_packets)
		f->ended = true;
}

void
capture_file_flush(struct capture_file *f)
{
	if (f->out != NULL && fflush(f->out) != 0)
		fail(f, -errno);
}

int
capture_file_close(struct capture_file *f)
{
	file_end(f);
	filter_free(f);
	return f->err;
}

/* --- one at a time --- */

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
	if (why[0] != '\0')
		return err;
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
