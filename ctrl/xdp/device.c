/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/xdp/device.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

/* Device features by the names that the kernel has for them. */
struct features {
	unsigned int n;
	struct ethtool_gstrings *names;
	struct ethtool_gfeatures *state;
};

static int
ethtool_call(const char *device, void *cmd)
{
	struct ifreq ifr = { .ifr_data = cmd };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int err = 0;

	if (fd < 0)
		return -errno;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", device);
	if (ioctl(fd, SIOCETHTOOL, &ifr))
		err = -errno;
	close(fd);
	return err;
}

/* How many names the device has in string set `set` (ETH_SS_*). */
static unsigned int
count_names(const char *device, unsigned int set)
{
	union {
		struct ethtool_sset_info info;
		__u8 room[sizeof(struct ethtool_sset_info) + sizeof(__u32)];
	} q = { .info = {
			.cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1ull << set } };

	if (ethtool_call(device, &q) || !q.info.sset_mask)
		return 0;
	return q.info.data[0];
}

/* The names, to be freed by the caller, or NULL. */
static struct ethtool_gstrings *
read_names(const char *device, unsigned int set, unsigned int n)
{
	struct ethtool_gstrings *names =
		calloc(1, sizeof(*names) + n * ETH_GSTRING_LEN);

	if (!names)
		return NULL;
	names->cmd = ETHTOOL_GSTRINGS;
	names->string_set = set;
	names->len = n;
	if (ethtool_call(device, names)) {
		free(names);
		return NULL;
	}
	return names;
}

/* Where `name` stands among `n` names, or n. */
static unsigned int
name_index(
	const struct ethtool_gstrings *names, unsigned int n, const char *name)
{
	unsigned int i = 0;

	while (i < n && strncmp((const char *)names->data + i * ETH_GSTRING_LEN,
				name, ETH_GSTRING_LEN))
		i++;
	return i;
}

/* A device that has no features to tell of has none on. */
static int
features_read(const char *device, struct features *f)
{
	unsigned int n = count_names(device, ETH_SS_FEATURES);
	unsigned int words = (n + 31) / 32;

	f->names = read_names(device, ETH_SS_FEATURES, n);
	f->state = calloc(
		1, sizeof(*f->state) + words * sizeof(f->state->features[0]));
	if (!f->state)
		return -ENOMEM;
	f->state->cmd = ETHTOOL_GFEATURES;
	f->state->size = words;
	f->n = f->names && !ethtool_call(device, f->state) ? n : 0;
	return 0;
}

static void
features_free(struct features *f)
{
	free(f->names);
	free(f->state);
}

static bool
feature_on(const struct features *f, const char *name)
{
	unsigned int i = name_index(f->names, f->n, name);

	return i < f->n && (f->state->features[i / 32].active >> (i % 32)) & 1;
}

uint64_t
device_stat(const char *device, const char *name)
{
	unsigned int n = count_names(device, ETH_SS_STATS), i;
	struct ethtool_gstrings *names = read_names(device, ETH_SS_STATS, n);
	struct ethtool_stats *stats =
		calloc(1, sizeof(*stats) + n * sizeof(stats->data[0]));
	uint64_t value = 0;

	if (names && stats) {
		stats->cmd = ETHTOOL_GSTATS;
		stats->n_stats = n;
		i = name_index(names, n, name);
		if (i < n && !ethtool_call(device, stats))
			value = stats->data[i];
	}
	free(names);
	free(stats);
	return value;
}

unsigned int
device_queues(const char *device)
{
	struct ethtool_channels c = { .cmd = ETHTOOL_GCHANNELS };
	unsigned int n = 0;

	if (!ethtool_call(device, &c))
		n = c.rx_count + c.combined_count;
	return n ? n : 1;
}

/* Merged packets cannot be sent on: they are longer than any MTU. */
static int
check_features(const char *device, const struct features *f,
	const struct link_info *info, char *why, size_t len)
{
	bool lro = feature_on(f, "rx-lro"), hw = feature_on(f, "rx-gro-hw");

	if (lro || hw) {
		snprintf(why, len,
			"%s merges packets it receives; run: "
			"ethtool -K %s%s%s",
			device, device, lro ? " lro off" : "",
			hw ? " rx-gro-hw off" : "");
		return -EINVAL;
	}
	if (!strcmp(info->kind, "veth"))
		snprintf(why, len,
			"%s is a veth: run ethtool -K PEER tx off gro on for "
			"its peer, or packets are lost or have no checksums",
			device);
	else if (feature_on(f, "rx-vlan-hw-parse"))
		snprintf(why, len,
			"%s takes VLAN tags off: tagged packets look "
			"untagged; if there are any run: "
			"ethtool -K %s rxvlan off",
			device, device);
	return 0;
}

static void
program_name(__u32 id, char *name, size_t len)
{
	struct bpf_prog_info info = { 0 };
	__u32 size = sizeof(info);
	int fd = bpf_prog_get_fd_by_id(id);

	snprintf(name, len, "?");
	if (fd < 0)
		return;
	if (!bpf_obj_get_info_by_fd(fd, &info, &size) && info.name[0])
		snprintf(name, len, "%s", info.name);
	close(fd);
}

static int
check_program(const char *device, int ifindex, char *why, size_t len)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, q);
	char name[BPF_OBJ_NAME_LEN];
	int err = bpf_xdp_query(ifindex, 0, &q);
	__u32 id = q.prog_id;

	if (err) {
		snprintf(why, len, "%s: cannot ask for its XDP program: %s",
			device, strerror(-err));
		return err;
	}
	if (q.attach_mode == XDP_ATTACHED_MULTI)
		id = q.drv_prog_id ? q.drv_prog_id : q.skb_prog_id;
	if (!id)
		return 0;
	program_name(id, name, sizeof(name));
	snprintf(why, len,
		"%s has another XDP program, id %u \"%s\"; run: ip link set "
		"dev %s xdp off (bpftool net tells who holds it)",
		device, id, name, device);
	return -EBUSY;
}

int
device_check(struct nl_sock *nl, const char *device, bool ours,
	struct link_info *info, char *why, size_t len)
{
	struct features f = { 0 };
	int err = link_find(nl, device, info);

	why[0] = '\0';
	if (err) {
		snprintf(why, len, "%s: %s; ip link lists the devices", device,
			strerror(-err));
		return err;
	}
	if (!(info->flags & IFF_UP)) {
		snprintf(why, len, "%s is down; run: ip link set dev %s up",
			device, device);
		return -ENETDOWN;
	}
	if (!ours && (err = check_program(device, info->index, why, len)))
		return err;
	err = features_read(device, &f);
	if (!err)
		err = check_features(device, &f, info, why, len);
	features_free(&f);
	return err;
}

const char *
device_mode(int ifindex)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, q);

	if (bpf_xdp_query(ifindex, 0, &q))
		return "none";
	if (q.attach_mode == XDP_ATTACHED_SKB)
		return "generic";
	return q.attach_mode == XDP_ATTACHED_NONE ? "none" : "native";
}
