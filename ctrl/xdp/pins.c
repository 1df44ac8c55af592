/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/xdp/pins.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/if_link.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "softlink.skel.h"
#include "uplink.skel.h"
#include "vnic.skel.h"
#include "xsk.skel.h"

#define DIR_NAME "bpf"
#define XSK_NAME "xsk.bpf.o"

static const char *const map_name[PINS_MAPS] = {
	[PINS_META] = "meta",
	[PINS_SERVICES] = "services",
	[PINS_SNAT] = "snat",
	[PINS_HOSTS] = "hosts",
	[PINS_STEERING] = "steering",
	[PINS_UPLINKS] = "uplinks",
	[PINS_VNICS] = "vnics",
	[PINS_RATES] = "rates",
	[PINS_METERS] = "meters",
	[PINS_SHARES] = "shares",
	[PINS_QUEUES] = "queues",
	[PINS_FRAGMENTS] = "fragments",
	[PINS_VNIC_COUNTERS] = "vnic_counters",
	[PINS_UPLINK_COUNTERS] = "uplink_counters",
	[PINS_TO_VNIC] = "to_vnic",
	[PINS_TO_UPLINK] = "to_uplink",
	[PINS_CAPTURES] = "captures",
};

static void
pin_path(char path[PATH_MAX], const char *run_dir, const char *name)
{
	snprintf(path, PATH_MAX, "%s/" DIR_NAME "/%s", run_dir, name);
}

/* Dots are not allowed in a bpffs, so VNICs go by number. */
static void
link_path(char path[PATH_MAX], const char *run_dir, const char *kind,
	unsigned int i)
{
	snprintf(path, PATH_MAX, "%s/" DIR_NAME "/%s_%u", run_dir, kind, i);
}

void
pins_init(struct pins *pins)
{
	memset(pins, 0, sizeof(*pins));
	for (int i = 0; i < PINS_MAPS; i++)
		pins->map[i] = -1;
}

static bool
is_bpffs(const char *path)
{
	struct statfs fs;

	return !statfs(path, &fs) && fs.f_type == BPF_FS_MAGIC;
}

int
pins_mount(const char *run_dir)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/" DIR_NAME, run_dir);
	if (is_bpffs(path))
		return 0;
	if (mkdir(path, 0700) && errno != EEXIST)
		return -errno;
	if (mount("carryall", path, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC,
		    "mode=0700"))
		return -errno;
	return 0;
}

/*
 * A link that is merely unpinned lets go of its device some time later; a
 * program attached next would still find it there. Maps are no links: the
 * call fails for them, and does nothing.
 */
static void
detach_now(const char *run_dir, const char *name)
{
	char path[PATH_MAX];
	int fd;

	pin_path(path, run_dir, name);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return;
	bpf_link_detach(fd);
	close(fd);
}

static void
unpin_all(const char *run_dir, const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *e;

	if (!dir)
		return;
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		detach_now(run_dir, e->d_name);
		unlinkat(dirfd(dir), e->d_name, 0);
	}
	closedir(dir);
}

void
pins_unmount(const char *run_dir)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/" XSK_NAME, run_dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/capture.lock", run_dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/" DIR_NAME, run_dir);
	while (is_bpffs(path)) {
		unpin_all(run_dir, path);
		if (umount2(path, MNT_DETACH))
			break;
	}
	rmdir(path);
}

/* How many rows a map has for this plan; 0: as its definition says. */
static unsigned int
map_rows(enum pins_map map, const struct plan *plan)
{
	switch (map) {
	case PINS_STEERING:
		return plan->n_entries;
	case PINS_UPLINKS:
	case PINS_UPLINK_COUNTERS:
	case PINS_TO_UPLINK:
	case PINS_SHARES:
	case PINS_QUEUES:
		return plan->config->n_uplinks;
	case PINS_VNICS:
	case PINS_VNIC_COUNTERS:
	case PINS_TO_VNIC:
		return plan->n_instances;
	case PINS_RATES:
	case PINS_METERS:
		return plan->n_instances + plan->config->n_functions;
	default:
		return 0;
	}
}

static int
size_maps(struct bpf_object *obj, const struct plan *plan)
{
	for (int i = 0; i < PINS_MAPS; i++) {
		struct bpf_map *m =
			bpf_object__find_map_by_name(obj, map_name[i]);
		unsigned int rows = map_rows(i, plan);
		int err = m ? 0 : -ENOENT;

		if (!err && rows)
			err = bpf_map__set_max_entries(m, rows);
		if (err)
			return err;
	}
	return 0;
}

/* Maps of a former object into one that is about to be loaded. */
static int
reuse_maps(struct bpf_object *obj, const struct pins *pins)
{
	for (int i = 0; i < PINS_MAPS; i++) {
		struct bpf_map *m =
			bpf_object__find_map_by_name(obj, map_name[i]);
		int err = m ? bpf_map__reuse_fd(m, pins->map[i]) : -ENOENT;

		if (err)
			return err;
	}
	return 0;
}

/* A map's rows as memory: array rows are a multiple of eight bytes. */
static void *
map_memory(int fd, size_t row, unsigned int rows)
{
	void *p = mmap(
		NULL, row * rows, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

static int
map_shared(struct pins *pins, const struct plan *plan)
{
	pins->n_vnics = plan->n_instances;
	pins->n_functions = plan->config->n_functions;
	pins->n_uplinks = plan->config->n_uplinks;
	pins->vnics = map_memory(
		pins->map[PINS_VNICS], sizeof(*pins->vnics), pins->n_vnics);
	pins->uplinks = map_memory(pins->map[PINS_UPLINKS],
		sizeof(*pins->uplinks), pins->n_uplinks);
	pins->rates = map_memory(pins->map[PINS_RATES], sizeof(*pins->rates),
		pins->n_vnics + pins->n_functions);
	pins->shares = map_memory(
		pins->map[PINS_SHARES], sizeof(*pins->shares), pins->n_uplinks);
	return pins->vnics && pins->uplinks && pins->rates && pins->shares
		       ? 0
		       : -ENOMEM;
}

static int
pin_maps(struct pins *pins, struct bpf_object *obj, const char *run_dir)
{
	char path[PATH_MAX];

	for (int i = 0; i < PINS_MAPS; i++) {
		struct bpf_map *m =
			bpf_object__find_map_by_name(obj, map_name[i]);

		pin_path(path, run_dir, map_name[i]);
		if (bpf_obj_pin(bpf_map__fd(m), path))
			return -errno;
		pins->map[i] = fcntl(bpf_map__fd(m), F_DUPFD_CLOEXEC, 3);
		if (pins->map[i] < 0)
			return -errno;
	}
	return 0;
}

static int
write_meta(struct pins *pins, const struct plan *plan)
{
	struct xdp_meta meta = {
		.version = XDP_VERSION,
		.seed = plan->seed,
		.n_uplinks = plan->config->n_uplinks,
		.n_vnics = plan->n_instances,
		.n_functions = plan->config->n_functions,
		.n_entries = plan->n_entries,
	};
	__u32 zero = 0;

	return bpf_map_update_elem(pins->map[PINS_META], &zero, &meta, 0)
		       ? -errno
		       : 0;
}

/* The first program to be loaded brings the maps into being. */
int
pins_create(struct pins *pins, const struct plan *plan, const char *run_dir)
{
	struct vnic_bpf *skel = vnic_bpf__open();
	int err = skel ? size_maps(skel->obj, plan) : -errno;

	if (!err)
		err = vnic_bpf__load(skel);
	if (!err)
		err = pin_maps(pins, skel->obj, run_dir);
	if (!err)
		err = map_shared(pins, plan);
	if (!err)
		err = write_meta(pins, plan);
	vnic_bpf__destroy(skel);
	return err;
}

int
pins_get(const char *run_dir, enum pins_map map)
{
	char path[PATH_MAX];
	int fd;

	pin_path(path, run_dir, map_name[map]);
	fd = bpf_obj_get(path);
	return fd < 0 ? -errno : fd;
}

static int
check_meta(struct pins *pins, const struct plan *plan, char *why, size_t len)
{
	struct xdp_meta m = { 0 };
	__u32 zero = 0;

	if (bpf_map_lookup_elem(pins->map[PINS_META], &zero, &m))
		return -errno;
	if (m.version == XDP_VERSION && m.seed == plan->seed &&
		m.n_uplinks == plan->config->n_uplinks &&
		m.n_vnics == plan->n_instances &&
		m.n_functions == plan->config->n_functions &&
		m.n_entries == plan->n_entries)
		return 0;
	snprintf(why, len,
		"what runs was made for %u uplinks, %u functions, %u "
		"instances and %u buckets%s; stop it and start anew",
		m.n_uplinks, m.n_functions, m.n_vnics, m.n_entries,
		m.version != XDP_VERSION ? " by another version"
		: m.seed != plan->seed   ? " with another seed"
					 : "");
	return -EBUSY;
}

static int
open_map(struct pins *pins, enum pins_map map, const char *run_dir, char *why,
	size_t len)
{
	pins->map[map] = pins_get(run_dir, map);
	if (pins->map[map] >= 0)
		return 0;
	snprintf(why, len,
		"nothing to adopt: %s/" DIR_NAME
		"/%s: %s (a mount namespace of its own hides it); "
		"stop what runs and start anew",
		run_dir, map_name[map], strerror(-pins->map[map]));
	return pins->map[map];
}

/* What runs is asked first whose it is: another version has other maps. */
int
pins_open(struct pins *pins, const struct plan *plan, const char *run_dir,
	char *why, size_t len)
{
	int err = open_map(pins, PINS_META, run_dir, why, len);

	if (!err)
		err = check_meta(pins, plan, why, len);
	for (int i = 0; i < PINS_MAPS && !err; i++)
		if (i != PINS_META)
			err = open_map(pins, i, run_dir, why, len);
	return err ? err : map_shared(pins, plan);
}

void
pins_close(struct pins *pins)
{
	for (int i = 0; i < PINS_MAPS; i++)
		if (pins->map[i] >= 0)
			close(pins->map[i]);
	if (pins->vnics)
		munmap(pins->vnics, sizeof(*pins->vnics) * pins->n_vnics);
	if (pins->uplinks)
		munmap(pins->uplinks, sizeof(*pins->uplinks) * pins->n_uplinks);
	if (pins->rates)
		munmap(pins->rates,
			sizeof(*pins->rates) *
				(pins->n_vnics + pins->n_functions));
	if (pins->shares)
		munmap(pins->shares, sizeof(*pins->shares) * pins->n_uplinks);
	pins_init(pins);
}

static int
attach(struct bpf_program *prog, const char *path, int ifindex, bool generic)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts,
		.flags = generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE);
	int err = 0, fd;

	fd = bpf_link_create(bpf_program__fd(prog), ifindex, BPF_XDP, &opts);
	if (fd < 0)
		return -errno;
	if (bpf_obj_pin(fd, path))
		err = -errno;
	close(fd);
	return err;
}

/* Load `prog` of `obj` on our maps, and attach it by a link pinned at `path`.
 */
static int
load_and_attach(const struct pins *pins, struct bpf_object *obj,
	struct bpf_program *prog, const char *path, int ifindex, bool generic)
{
	int err = reuse_maps(obj, pins);

	if (!err)
		err = bpf_object__load(obj);
	return err ? err : attach(prog, path, ifindex, generic);
}

int
pins_attach_uplink(struct pins *pins, const struct plan *plan,
	const char *run_dir, unsigned int i, int ifindex, bool generic)
{
	struct uplink_bpf *skel = uplink_bpf__open();
	char path[PATH_MAX];
	int err;

	if (!skel)
		return -errno;
	skel->rodata->uplink_index = i;
	skel->rodata->seed = plan->seed;
	link_path(path, run_dir, "uplink", i);
	err = load_and_attach(
		pins, skel->obj, skel->progs.uplink_rx, path, ifindex, generic);
	uplink_bpf__destroy(skel);
	return err;
}

int
pins_attach_softlink(struct pins *pins, const struct plan *plan,
	const char *run_dir, unsigned int i, int ifindex, bool generic)
{
	struct softlink_bpf *skel = softlink_bpf__open();
	char path[PATH_MAX];
	int err;

	if (!skel)
		return -errno;
	skel->rodata->uplink_index = i;
	skel->rodata->seed = plan->seed;
	link_path(path, run_dir, "uplink", i);
	err = load_and_attach(pins, skel->obj, skel->progs.xsk_def_prog, path,
		ifindex, generic);
	softlink_bpf__destroy(skel);
	return err;
}

int
pins_attach_vnic(struct pins *pins, const struct plan *plan,
	const char *run_dir, unsigned int i, int ifindex, bool generic)
{
	struct vnic_bpf *skel = vnic_bpf__open();
	char path[PATH_MAX];
	int err;

	if (!skel)
		return -errno;
	skel->rodata->vnic_index = i;
	skel->rodata->function_index = plan->instances[i].function;
	skel->rodata->n_vnics = plan->n_instances;
	skel->rodata->seed = plan->seed;
	link_path(path, run_dir, "vnic", i);
	unlink(path);
	err = load_and_attach(
		pins, skel->obj, skel->progs.vnic_tx, path, ifindex, generic);
	vnic_bpf__destroy(skel);
	return err;
}

int
pins_check_link(
	const char *run_dir, const char *kind, unsigned int i, int ifindex)
{
	struct bpf_link_info info = { 0 };
	__u32 len = sizeof(info);
	char path[PATH_MAX];
	int fd, err = 0;

	link_path(path, run_dir, kind, i);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return -ENOENT;
	if (bpf_obj_get_info_by_fd(fd, &info, &len) ||
		info.xdp.ifindex != (__u32)ifindex)
		err = -ENOENT;
	close(fd);
	return err;
}

int
pins_write_xsk(const char *run_dir)
{
	char path[PATH_MAX];
	size_t size = 0;
	const void *elf = xsk_bpf__elf_bytes(&size);
	int fd, err = 0;

	snprintf(path, sizeof(path), "%s/" XSK_NAME, run_dir);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	if (write(fd, elf, size) != (ssize_t)size)
		err = -EIO;
	if (close(fd) && !err)
		err = -errno;
	return err;
}
