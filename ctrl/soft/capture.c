/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A capture is a flag and a ring. The flag, a word of the NIC's counters file,
 * makes it copy each frame of the VNIC into the ring (dataplane/softnic/
 * capture.h), which this process reads. A flag left set by a reader that was
 * killed fills the ring once and costs a failing look per packet from then
 * on, until the next capture takes it back.
 */
#include "ctrl/soft/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/softnic/capture.h"

#define WAIT_MS 10
#define BATCH   1024 /* packets between two looks whether to stop */

_Static_assert(SOFTNIC_FRAME_MAX <= CAPTURE_COPY_MAX, "a file holds any");

struct reader {
	const struct capture_options *options;
	struct capture_file file;
	uint32_t vnic;
	int lock;
	uint64_t lost_before;
	struct softnic_stats *stats;
	struct capture_ring *ring;
};

static void
file_path(char path[PATH_MAX], const char *run_dir, const char *suffix)
{
	snprintf(path, PATH_MAX, "%s/softnic.%s", run_dir, suffix);
}

bool
soft_capture_here(const char *run_dir)
{
	char path[PATH_MAX];

	file_path(path, run_dir, "tables");
	return access(path, F_OK) == 0;
}

/* Map `size` bytes of a file of the NIC: 0 or -errno. */
static int
map_file(const char *run_dir, const char *suffix, int flags, size_t size,
	void **at)
{
	int prot = flags == O_RDWR ? PROT_READ | PROT_WRITE : PROT_READ;
	char path[PATH_MAX];
	struct stat st;
	int fd, err = 0;

	file_path(path, run_dir, suffix);
	fd = open(path, flags | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) != 0 || st.st_size < (off_t)size) {
		err = -EINVAL;
	} else {
		*at = mmap(NULL, size, prot, MAP_SHARED, fd, 0);
		if (*at == MAP_FAILED) {
			*at = NULL;
			err = -ENOMEM;
		}
	}
	close(fd);
	return err;
}

static void
unmap(void *at, size_t size)
{
	if (at != NULL)
		munmap(at, size);
}

static int
find_vnic(const char *run_dir, const char *name, uint32_t *i)
{
	const struct softnic_tables *t;
	void *at = NULL;
	int err = map_file(run_dir, "tables", O_RDONLY, sizeof(*t), &at);

	if (err != 0)
		return err;
	t = at;
	err = -ENOENT;
	for (uint32_t k = 0; k < t->n_vnics && k < SOFTNIC_VNICS_MAX; k++)
		if (strncmp(t->vnic[k].name, name, GRANT_NAME_MAX) == 0) {
			*i = k;
			err = 0;
		}
	unmap(at, sizeof(*t));
	return err;
}

static int
open_all(struct reader *r, const char *run_dir, const char *name)
{
	void *stats = NULL, *ring = NULL;
	int err = find_vnic(run_dir, name, &r->vnic);

	if (err == 0) {
		r->lock = capture_lock(run_dir);
		err = r->lock < 0 ? r->lock : 0;
	}
	if (err == 0)
		err = map_file(
			run_dir, "stats", O_RDWR, sizeof(*r->stats), &stats);
	if (err == 0)
		err = map_file(
			run_dir, "capture", O_RDWR, CAPTURE_FILE_SIZE, &ring);
	r->stats = stats;
	r->ring = ring;
	if (err == 0 && !capture_check(r->ring))
		err = -EINVAL;
	if (err != 0)
		return err;
	capture_flush(r->ring);
	r->lost_before = __atomic_load_n(&r->ring->lost, __ATOMIC_RELAXED);
	return 0;
}

static void
close_all(struct reader *r)
{
	unmap(r->stats, sizeof(*r->stats));
	unmap(r->ring, CAPTURE_FILE_SIZE);
	if (r->lock >= 0)
		close(r->lock);
}

static void
set_flag(struct reader *r, uint32_t on)
{
	__atomic_store_n(&r->stats->capture[r->vnic], on, __ATOMIC_RELEASE);
}

static bool
stop_asked(const struct reader *r, int wait_ms)
{
	struct pollfd p = { .fd = r->options->stop_fd, .events = POLLIN };

	return poll(&p, 1, wait_ms) > 0;
}

static void
give(struct reader *r, const struct capture_header *head, const void *bytes)
{
	struct capture_frame frame = {
		.time_ns = head->time_ns,
		.bytes = bytes,
		.have = head->length < SOFTNIC_FRAME_MAX ? head->length
							 : SOFTNIC_FRAME_MAX,
		.length = head->length,
		.from_instance = head->from_vnic != 0,
		.dropped = head->drop != CAPTURE_PASSED,
	};

	if (head->vnic == r->vnic)
		capture_file_put(&r->file, &frame);
}

/* What is there, BATCH at the most: how many. */
static unsigned int
take(struct reader *r)
{
	static uint8_t bytes[SOFTNIC_FRAME_MAX];
	struct capture_header head;
	unsigned int n = 0;

	for (; n < BATCH; n++) {
		if (capture_get(r->ring, &head, bytes, sizeof(bytes)) != 1)
			break;
		give(r, &head, bytes);
	}
	r->file.lost = __atomic_load_n(&r->ring->lost, __ATOMIC_RELAXED) -
		       r->lost_before;
	return n;
}

/* The ring has no doorbell: the NIC rings none for a reader. */
static void
read_packets(struct reader *r)
{
	bool stop = false, more = false;

	while (!r->file.ended && !stop) {
		stop = stop_asked(r, more ? 0 : WAIT_MS);
		more = take(r) == BATCH;
		if (!more)
			capture_file_flush(&r->file);
	}
}

static int
run(struct reader *r)
{
	set_flag(r, 1);
	read_packets(r);
	set_flag(r, 0);
	return capture_file_close(&r->file);
}

int
soft_capture(const char *run_dir, const char *name,
	const struct capture_options *options, struct capture_result *result,
	char *why, size_t len)
{
	struct reader r = { .options = options, .lock = -1 };
	int err = open_all(&r, run_dir, name);

	why[0] = '\0';
	if (err == 0)
		err = capture_file_open(&r.file, options, name, why, len);
	if (err == 0)
		err = run(&r);
	result->packets = r.file.packets;
	result->lost = r.file.lost;
	close_all(&r);
	return err ? capture_explain(err, name, why, len) : 0;
}
