/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The configuration: a libconfig file made into one validated structure.
 *
 * Every key stands in one table (ctrl/keys.c): name, type, unit, range,
 * default and help. The table drives parsing, checking, `carryall check` and
 * the man page. All faults of a file are found in one pass; a file with a
 * fault yields no structure at all.
 */
#ifndef CARRYALL_CONFIG_H
#define CARRYALL_CONFIG_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "dataplane/grant.h"

#define CONFIG_UPLINKS_MAX    16
#define CONFIG_FUNCTIONS_MAX  32
#define CONFIG_INSTANCES_MAX  64   /* per function */
#define CONFIG_VNICS_MAX      256  /* instances of all functions */
#define CONFIG_SOFT_VNICS_MAX 31   /* likewise, with provider soft */
#define CONFIG_CORES_MAX      1024 /* CPU numbers are below it */
#define CONFIG_CORE_ANY       CONFIG_CORES_MAX /* no core */
#define CONFIG_GROUP_OWN      "default"        /* of a service's own backends */
#define CONFIG_COOKIE_MAX     64     /* a cookie's name, with its NUL */
#define CONFIG_ERROR_PAGE_MAX 16384u /* bytes of a file error_page */
/* A function's name: "NAME.63h" must fit a netdev's name. */
#define CONFIG_FUNCTION_NAME_MAX (IFNAMSIZ - 1 - 4)

enum config_xdp_mode {
	CONFIG_XDP_AUTO, /* native where the driver has it, else generic */
	CONFIG_XDP_NATIVE,
	CONFIG_XDP_GENERIC,
};

enum config_pages {
	CONFIG_PAGES_AUTO, /* huge pages where they can be had */
	CONFIG_PAGES_HUGE, /* refuse to run without */
	CONFIG_PAGES_SMALL,
};

/* `line` is where the entry begins, for messages of later stages. */
struct config_uplink {
	char name[GRANT_NAME_MAX];
	char device[IFNAMSIZ];
	char provider[GRANT_NAME_MAX];
	enum config_xdp_mode mode;
	char port[256];    /* soft: DPDK port by devargs; "": the device */
	uint64_t rate_bps; /* what it carries; 0: not known */
	int line;
};

struct config_backend {
	struct ip_addr addr;
	uint16_t port; /* host order */
	uint16_t weight;
	int line;
};

/* A group of a proxy's service, as grant_group. */
struct config_group {
	char name[GRANT_NAME_MAX];
	enum grant_scheduler scheduler;
	enum grant_proxy_protocol send_proxy;
	uint32_t max_idle;
	char cookie[CONFIG_COOKIE_MAX]; /* "": none */
	unsigned int n_backends;
	struct config_backend *backends;
	int line;
};

/* As grant_route; in small letters, "*." already taken off to ".". */
struct config_route {
	char host[256], path[256]; /* "": any */
	char group[GRANT_NAME_MAX];
	unsigned int index; /* of the group, as config_group() counts */
	int line;
};

/* Time-outs of a proxy's service, as in grant_proxy. */
struct config_waits {
	uint32_t connect_ms, header_ms, idle_ms, response_ms, tunnel_ms;
};

struct config_service {
	char name[GRANT_NAME_MAX];
	struct ip_addr addr;
	uint16_t port; /* host order; 0 with ICMP */
	uint8_t proto; /* IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP */
	enum grant_scheduler scheduler;
	bool hash_source;
	unsigned int n_backends; /* its own: of the group "default" */
	struct config_backend *backends;
	int line;

	/* of a proxy; as in grant_proxy */
	enum grant_mode mode;
	enum grant_proxy_protocol proxy_protocol;
	bool access_log, forwarded_for, forwarded, trust_forwarded;
	uint32_t client_connections, retries;
	uint32_t max_header, max_headers, max_requests;
	uint64_t max_body;
	struct config_waits timeouts;
	char error_page[256]; /* the file */
	uint32_t error_len;
	char *error_body; /* error_body[0..error_len): what is in it */

	/* of its own backends */
	char cookie[CONFIG_COOKIE_MAX];
	enum grant_proxy_protocol send_proxy;
	uint32_t max_idle;

	unsigned int n_groups;
	struct config_group *groups;
	unsigned int n_routes;
	struct config_route *routes;
};

enum config_congestion { /* as grant.congestion */
	CONFIG_CUBIC,
	CONFIG_NEWRENO,
};

enum config_access_format {
	CONFIG_ACCESS_COMMON,
	CONFIG_ACCESS_JSON,
};

/* Where a function's access log goes. */
struct config_access {
	char file[256]; /* "": there is none */
	enum config_access_format format;
};

struct config_function {
	char name[GRANT_NAME_MAX];
	char type[GRANT_NAME_MAX];
	unsigned int uplink;         /* index: where services are */
	unsigned int backend_uplink; /* index: where SNAT addresses are */
	unsigned int instances;
	unsigned int cores[CONFIG_INSTANCES_MAX]; /* one per instance */
	unsigned int buckets;
	uint64_t rate_bps;       /* per instance, transmitted; 0: no limit */
	uint64_t packet_rate;    /* per instance, packets/s; 0: no limit */
	uint64_t total_rate_bps; /* all instances together; 0: no limit */
	uint64_t total_packet_rate;
	uint32_t weight;          /* share of an uplink that is full */
	uint32_t max_connections; /* per instance; a power of two */
	uint32_t max_half_open;   /* per instance */
	struct grant_timeouts timeouts;
	enum grant_durability durability;
	uint64_t log_size; /* bytes of each store, whole blocks */
	bool proxies;      /* its type ends connections: NF_PROXIES */
	enum config_congestion congestion;
	struct config_access access;
	unsigned int n_snat;
	struct ip_addr *snat;
	unsigned int n_services;
	struct config_service *services;
	int line;
};

struct config {
	char file[256];
	char name[GRANT_NAME_MAX];
	char user[GRANT_NAME_MAX]; /* whom instances run as */
	char state[256];           /* directory of what outlives a stop */
	bool share_cores;
	unsigned int nic_core; /* of the NIC in software; or
				* CONFIG_CORE_ANY: there is none */
	enum config_pages pages;
	unsigned int n_uplinks;
	struct config_uplink *uplinks;
	unsigned int n_functions;
	struct config_function *functions;
};

enum config_device {
	CONFIG_DEVICE_NONE, /* there is none */
	CONFIG_DEVICE_OTHER,
	CONFIG_DEVICE_TAP, /* made by an appliance, as an uplink's end */
};

/* Begins the alias of every network device that an appliance makes. */
#define CONFIG_DEVICE_ALIAS "carryall "

/* What a machine must say for a config to be checked against it. */
struct config_machine {
	void *ctx;
	/* 1 if CPU `cpu` is there and usable, else 0. */
	int (*has_core)(void *ctx, unsigned int cpu);
	/* enum config_device: what the network device `name` is. */
	int (*has_device)(void *ctx, const char *name);
	/* 1 if a user `name` exists, else 0. */
	int (*has_user)(void *ctx, const char *name);
};

/* The machine we are on. */
extern const struct config_machine config_this_machine;

/* What a config may name as a `type`: made from the functions of the build. */
struct config_type {
	const char *name;
	uint32_t flags; /* NF_NEEDS_*, NF_LOGS, NF_PROTO_*: dataplane/nf.h */
};

/* One fault: "FILE:LINE: what is wrong; what is allowed". */
struct config_fault {
	char file[256]; /* of the include, if it is there */
	int line;
	char text[512];
};

struct config_faults {
	unsigned int n;
	struct config_fault *fault; /* in order of file and line */
};

/*
 * Read and check `path`. `types` ends with a NULL name. Returns the config,
 * owned by the caller until config_free(), or NULL with at least one entry
 * in `faults`, which the caller initialises to zero and frees with
 * config_faults_free() in either case. Thread: any; blocks on the file.
 * (Not config_read: libconfig has a function of that name.)
 */
struct config *config_load(const char *path, const struct config_type *types,
	const struct config_machine *machine, struct config_faults *faults);

/* The same from text[0..len), as if it were the file `path`: for fuzzing. */
struct config *config_load_text(const char *path, const char *text, size_t len,
	const struct config_type *types, const struct config_machine *machine,
	struct config_faults *faults);

/*
 * A service's backends, in groups: how many groups there are, and group `i` of
 * them. Its own backends are the first, "default", unless it has none; those
 * of a load balancer are all in that. The copy's `backends` are the service's.
 */
unsigned int config_groups(const struct config_service *service);
struct config_group config_group(
	const struct config_service *service, unsigned int i);

/* The group that takes what no route fits: its number, as above. */
unsigned int config_default_group(const struct config_service *service);

/* Must the steering hash's seed outlive a stop? For logs, and for cookies. */
bool config_keeps_seed(const struct config *config);

void config_free(struct config *config);
void config_faults_free(struct config_faults *faults);

/* Is a NIC in software to serve the uplinks? Then it serves all of them. */
bool config_soft(const struct config *config);

/* Print each fault as a line "FILE:LINE: text". */
void config_faults_print(const struct config_faults *faults, FILE *out);

/* Print the table of keys: as mdoc for the man page, or as text. */
void config_keys_print(FILE *out, bool mdoc);

/* The word for a durability; "unknown" for what is none. Static. */
const char *config_durability_name(uint32_t durability);

/*
 * "10.0.0.1" or "fd00::1" to an address: 0 or -EINVAL. An IPv4-mapped
 * address in IPv6 text ("::ffff:10.0.0.1") is -EINVAL.
 */
int ip_addr_parse(const char *text, struct ip_addr *addr);
/* An address as text into buf, which holds at least 46 bytes; returns it. */
const char *ip_addr_format(const struct ip_addr *addr, char buf[46]);

#endif
