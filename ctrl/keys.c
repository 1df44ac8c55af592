/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/keys.h"

#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

#include "ctrl/config.h"

#define FIELD(type, field)                      \
	.offset = offsetof(struct type, field), \
	.size = sizeof(((struct type *)0)->field)

#define ENTRIES(type, field, of)                                       \
	FIELD(type, field), .count = offsetof(struct type, n_##field), \
			    .line = offsetof(struct of, line),         \
			    .entry = sizeof(struct of)

#define TIMEOUT(text)                                                     \
	KEY_QUANTITY, .unit = UNIT_TIME, .min = 10, .max = 7 * 86400000u, \
		      .initial = (text), .example = "\"" text "\""

static const struct key_choice providers[] = {
	{ "xdp", 0, false },
	{ "soft", 0, false },
	{ "sriov", 0, true },
	{ 0 },
};

static const struct key_choice modes[] = {
	{ "auto", CONFIG_XDP_AUTO, false },
	{ "native", CONFIG_XDP_NATIVE, false },
	{ "generic", CONFIG_XDP_GENERIC, false },
	{ 0 },
};

static const struct key_choice pages[] = {
	{ "auto", CONFIG_PAGES_AUTO, false },
	{ "huge", CONFIG_PAGES_HUGE, false },
	{ "small", CONFIG_PAGES_SMALL, false },
	{ 0 },
};

static const struct key_choice protocols[] = {
	{ "tcp", IPPROTO_TCP, false },
	{ "udp", IPPROTO_UDP, false },
	{ "icmp", IPPROTO_ICMP, false },
	{ 0 },
};

static const struct key_choice schedulers[] = {
	{ "maglev", GRANT_SCHED_MAGLEV, false },
	{ "rr", GRANT_SCHED_RR, false },
	{ "leastconn", GRANT_SCHED_LEASTCONN, false },
	{ 0 },
};

static const struct key_choice hashes[] = {
	{ "5-tuple", false, false },
	{ "source", true, false },
	{ 0 },
};

static const struct key_choice group_schedulers[] = {
	{ "rr", GRANT_SCHED_RR, false },
	{ "leastconn", GRANT_SCHED_LEASTCONN, false },
	{ 0 },
};

static const struct key_choice proxy_modes[] = {
	{ "http", GRANT_MODE_HTTP, false },
	{ "tcp", GRANT_MODE_TCP, false },
	{ 0 },
};

static const struct key_choice proxy_protocols[] = {
	{ "none", GRANT_PROXY_NONE, false },
	{ "v1", GRANT_PROXY_V1, false },
	{ "v2", GRANT_PROXY_V2, false },
	{ "any", GRANT_PROXY_ANY, false },
	{ 0 },
};

static const struct key_choice send_protocols[] = {
	{ "none", GRANT_PROXY_NONE, false },
	{ "v1", GRANT_PROXY_V1, false },
	{ "v2", GRANT_PROXY_V2, false },
	{ 0 },
};

static const struct key_choice congestions[] = {
	{ "cubic", CONFIG_CUBIC, false },
	{ "newreno", CONFIG_NEWRENO, false },
	{ 0 },
};

static const struct key_choice access_formats[] = {
	{ "common", CONFIG_ACCESS_COMMON, false },
	{ "json", CONFIG_ACCESS_JSON, false },
	{ 0 },
};

static const struct key_choice durabilities[] = {
	{ "none", GRANT_DURABILITY_NONE, false },
	{ "batch", GRANT_DURABILITY_BATCH, false },
	{ "sync", GRANT_DURABILITY_SYNC, false },
	{ 0 },
};

const struct key keys[] = {
	/* --- the appliance --- */
	{ "appliance", KEY_GROUP, .required = true, .example = "{ ... }",
		.help = "What holds for the appliance as a whole." },
	{ "appliance.name", KEY_NAME, FIELD(config, name), .required = true,
		.max = GRANT_NAME_MAX - 1, .example = "\"edge1\"",
		.help = "Its name: the running appliance is found by it, under "
			"/run/carryall/NAME. No two on one machine have the "
			"same." },
	{ "appliance.state", KEY_TEXT, FIELD(config, state),
		.initial = "/var/lib/carryall",
		.example = "\"/var/lib/carryall\"",
		.help = "Directory of what outlives a stop, an absolute "
			"path." },
	{ "appliance.user", KEY_TEXT, FIELD(config, user), .initial = "nobody",
		.example = "\"nobody\"",
		.help = "The user that instances run as. Not root: an instance "
			"has no privilege." },
	{ "appliance.share_cores", KEY_BOOL, FIELD(config, share_cores),
		.initial = "false", .example = "true",
		.help = "Let several instances run on one core, in turns. For "
			"labs and small machines: they then wait for each "
			"other." },
	{ "appliance.nic_core", KEY_INT, FIELD(config, nic_core), .min = 0,
		.max = CONFIG_CORES_MAX - 1, .example = "0",
		.otherwise = "a core that no instance names; core 0 first",
		.help = "The core of the NIC in software, which serves all "
			"uplinks of provider soft." },
	{ "appliance.memory_pages", KEY_CHOICE, FIELD(config, pages),
		.choices = pages, .initial = "auto", .example = "\"auto\"",
		.help = "Memory of the instances: huge pages where they can be "
			"had (auto), only huge pages (huge), or ordinary ones "
			"(small)." },

	/* --- uplinks --- */
	{ "uplinks", KEY_LIST, ENTRIES(config, uplinks, config_uplink),
		.required = true, .min = 1, .max = CONFIG_UPLINKS_MAX,
		.example = "( { name = \"wan\"; device = \"eth1\"; } )",
		.help = "The ports that traffic enters and leaves by." },
	{ "uplinks.name", KEY_NAME, FIELD(config_uplink, name),
		.required = true, .max = GRANT_NAME_MAX - 1,
		.example = "\"wan\"", .help = "What functions call it." },
	{ "uplinks.device", KEY_TEXT, FIELD(config_uplink, device),
		.required = true, .example = "\"eth1\"",
		.help = "The network device, as ip link shows it. One uplink "
			"per device." },
	{ "uplinks.provider", KEY_CHOICE, FIELD(config_uplink, provider),
		.choices = providers, .initial = "xdp", .example = "\"xdp\"",
		.help = "What makes the virtual NICs: XDP programs, with every "
			"kernel driver (xdp), or a NIC in software, which "
			"takes a core of its own, shares out a full uplink "
			"and shapes without loss (soft). The same for all "
			"uplinks." },
	{ "uplinks.mode", KEY_CHOICE, FIELD(config_uplink, mode),
		.choices = modes, .initial = "auto", .example = "\"auto\"",
		.help = "How XDP attaches: in the driver (native), in the "
			"kernel's generic path (generic), or native where the "
			"driver has it (auto)." },

	{ "uplinks.port", KEY_TEXT, FIELD(config_uplink, port),
		.example = "\"0000:03:00.0\"",
		.otherwise = "the device, by AF_XDP",
		.help = "Provider soft: the DPDK port that packets come and go "
			"by, a PCI address or the arguments of a virtual "
			"device. The device is then made, a tap: the kernel's "
			"end of the uplink, for ARP and all that no service "
			"wants." },
	{ "uplinks.rate", KEY_QUANTITY, .unit = UNIT_RATE,
		FIELD(config_uplink, rate_bps), .min = 64000,
		.max = 1000000000000, .example = "\"10Gb/s\"",
		.otherwise = "not known",
		.help = "What the link carries, in bits per second. When it is "
			"full, functions share it by their weights." },

	/* --- functions --- */
	{ "functions", KEY_LIST, ENTRIES(config, functions, config_function),
		.required = true, .min = 1, .max = CONFIG_FUNCTIONS_MAX,
		.example = "( { name = \"web\"; type = \"lb\"; ... } )",
		.help = "The network functions that the appliance runs." },
	{ "functions.name", KEY_NAME, FIELD(config_function, name),
		.required = true, .max = CONFIG_FUNCTION_NAME_MAX,
		.example = "\"web\"",
		.help = "Its name. Instances, and their network devices, are "
			"called NAME.0, NAME.1 and so on." },
	{ "functions.type", KEY_TEXT, FIELD(config_function, type),
		.required = true, .example = "\"lb\"",
		.help = "What it does: the name of one of the functions built "
			"in, as carryall version lists them." },
	{ "functions.uplink", KEY_TEXT, .example = "\"wan\"",
		.otherwise = "the only uplink",
		.help = "The uplink that clients come by. Needed if there is "
			"more than one." },
	{ "functions.backend_uplink", KEY_TEXT, .example = "\"lan\"",
		.otherwise = "as uplink",
		.help = "The uplink that backends are reached by." },
	{ "functions.instances", KEY_INT, FIELD(config_function, instances),
		.min = 1, .max = CONFIG_INSTANCES_MAX, .initial = "1",
		.example = "2",
		.help = "How many instances share its work, each on a core." },
	{ "functions.cores", KEY_CORES, .max = CONFIG_CORES_MAX - 1,
		.example = "\"1-2\"",
		.otherwise = "cores that no other instance has; core 0 last",
		.help = "The cores of the instances, in order: numbers and "
			"ranges, as 1-2,5. Those beyond the number of "
			"instances are not used." },
	{ "functions.snat", KEY_ADDRESSES, FIELD(config_function, snat),
		.count = offsetof(struct config_function, n_snat),
		.entry = sizeof(struct ip_addr), .max = GRANT_SNAT_MAX,
		.example = "[ \"10.0.0.9\" ]",
		.help = "Addresses of its own that a load balancer or proxy "
			"talks to backends from; one at least of each family "
			"that its backends are of. Each gives about 64,000 connections to "
			"each backend port." },
	{ "functions.buckets", KEY_INT, FIELD(config_function, buckets),
		.min = 1, .max = GRANT_BUCKETS_MAX, .initial = "128",
		.example = "128",
		.help = "Slices that connections are steered in: a power of "
			"two, and no fewer than instances." },
	{ "functions.rate", KEY_QUANTITY, .unit = UNIT_RATE,
		FIELD(config_function, rate_bps), .min = 64000,
		.max = 1000000000000, .example = "\"1Gb/s\"",
		.otherwise = "no limit",
		.help = "Most that each instance may send, in bits per "
			"second." },
	{ "functions.packet_rate", KEY_QUANTITY, .unit = UNIT_PACKETS,
		FIELD(config_function, packet_rate), .min = 1,
		.max = 1000000000, .example = "\"100k/s\"",
		.otherwise = "no limit",
		.help = "Most packets that each instance may send, per "
			"second." },
	{ "functions.total_rate", KEY_QUANTITY, .unit = UNIT_RATE,
		FIELD(config_function, total_rate_bps), .min = 64000,
		.max = 1000000000000, .example = "\"2Gb/s\"",
		.otherwise = "no limit",
		.help = "Most that all its instances together may send, in "
			"bits per second." },
	{ "functions.total_packet_rate", KEY_QUANTITY, .unit = UNIT_PACKETS,
		FIELD(config_function, total_packet_rate), .min = 1,
		.max = 1000000000, .example = "\"200k/s\"",
		.otherwise = "no limit",
		.help = "Most packets that all its instances together may "
			"send, per second." },
	{ "functions.weight", KEY_INT, FIELD(config_function, weight), .min = 1,
		.max = GRANT_WEIGHT_MAX, .initial = "1", .example = "1",
		.help = "Its share of an uplink that is full, beside other "
			"functions." },
	{ "functions.connections", KEY_INT,
		FIELD(config_function, max_connections), .min = 16,
		.max = 1 << 24, .initial = "65536", .example = "65536",
		.help = "Connections that each instance can hold, rounded up "
			"to a power of two." },
	{ "functions.half_open", KEY_INT, FIELD(config_function, max_half_open),
		.min = 1, .max = 1 << 24,
		.otherwise = "a quarter of connections", .example = "16384",
		.help = "How many of them may be in the hand-shake; the oldest "
			"of these makes room for a new one." },

	{ "functions.timeouts", KEY_GROUP, FIELD(config_function, timeouts),
		.example = "{ established = \"1h\"; }",
		.help = "How long a connection may be silent before it is "
			"forgotten." },
	{ "functions.timeouts.syn", TIMEOUT("10s"),
		FIELD(grant_timeouts, syn_ms),
		.help = "TCP, in the hand-shake. Shorter than the 4 minutes "
			"that RFC 5382 REQ-5 asks of a NAT, since a flood of "
			"SYNs fills the table with these." },
	{ "functions.timeouts.established", TIMEOUT("124m"),
		FIELD(grant_timeouts, established_ms),
		.help = "TCP, open. No less than 2 hours and 4 minutes (RFC "
			"5382 REQ-5) lets keepalives of 2 hours (RFC 1122 "
			"4.2.3.6) hold an idle connection." },
	{ "functions.timeouts.fin", TIMEOUT("4m"),
		FIELD(grant_timeouts, fin_ms),
		.help = "TCP, closed by one side: the other may still be "
			"sending. RFC 5382 REQ-5." },
	{ "functions.timeouts.closed", TIMEOUT("30s"),
		FIELD(grant_timeouts, closed_ms),
		.help = "TCP, closed by both sides or reset: late segments are "
			"still passed on, and the SNAT port rests." },
	{ "functions.timeouts.udp_new", TIMEOUT("10s"),
		FIELD(grant_timeouts, udp_new_ms),
		.help = "UDP, no reply seen. Short, since a flood fills the "
			"table with these." },
	{ "functions.timeouts.udp", TIMEOUT("2m"),
		FIELD(grant_timeouts, udp_ms),
		.help = "UDP, with a reply seen. The least that RFC 4787 REQ-5 "
			"allows." },

	{ "functions.log", KEY_GROUP, .example = "{ durability = \"batch\"; }",
		.help = "The persistent log of connections: with it they go on "
			"after a crash of their instance, of the appliance or "
			"of the machine. Each instance has a log of its own, "
			"the file NAME/INSTANCE.log in appliance.state; it may "
			"be a link to a block device. A stop leaves it there. "
			"A change takes a stop and a start." },
	{ "functions.log.durability", KEY_CHOICE,
		FIELD(config_function, durability), .choices = durabilities,
		.initial = "none", .example = "\"batch\"",
		.help = "What is promised of a connection. With sync its first "
			"packet waits until its record is on stable storage: "
			"no crash loses a connection that the backend knows "
			"of. With batch nothing waits: a crash may lose the "
			"connections of about the last millisecond, or of the "
			"last write where the device is slower. With none no "
			"log is kept, and connections end with their "
			"instance." },
	{ "functions.log.size", KEY_QUANTITY, .unit = UNIT_SIZE,
		FIELD(config_function, log_size), .min = 1 << 20,
		.max = 64ull << 30, .initial = "64M", .example = "\"64M\"",
		.help = "Size of each instance's log, taken on disk when it is "
			"made. It has to hold all connections twice, in "
			"records of about 64 bytes, with room to spare: give "
			"connections x 256 bytes." },

	{ "functions.congestion", KEY_CHOICE, .only = KEY_PROXY,
		FIELD(config_function, congestion), .choices = congestions,
		.initial = "cubic", .example = "\"newreno\"",
		.help = "How its TCP shares paths with others: as RFC 9438 "
			"(cubic) or RFC 6582 (newreno) have it." },
	{ "functions.access_log", KEY_GROUP, .only = KEY_PROXY,
		FIELD(config_function, access),
		.example = "{ file = \"/var/log/carryall/edge.log\"; }",
		.help = "Where requests are written to, a line each. Without "
			"it none is." },
	{ "functions.access_log.file", KEY_TEXT, FIELD(config_access, file),
		.required = true, .example = "\"/var/log/carryall/edge.log\"",
		.help = "The file, an absolute path; lines are appended. It is "
			"opened again on reload, and when it was renamed or "
			"removed." },
	{ "functions.access_log.format", KEY_CHOICE,
		FIELD(config_access, format), .choices = access_formats,
		.initial = "common", .example = "\"json\"",
		.help = "How a line is written, see carryall(8): as other web "
			"servers do, with more behind it (common), or as an "
			"object (json)." },

	/* --- services --- */
	{ "functions.services", KEY_LIST,
		ENTRIES(config_function, services, config_service),
		.required = true, .min = 1, .max = GRANT_SERVICES_MAX,
		.example = "( { name = \"site\"; address = \"10.0.0.80\"; "
			   "... } )",
		.help = "What clients connect to." },
	{ "functions.services.name", KEY_NAME, FIELD(config_service, name),
		.required = true, .max = GRANT_NAME_MAX - 1,
		.example = "\"site\"", .help = "Its name, in the function." },
	{ "functions.services.address", KEY_ADDRESS,
		FIELD(config_service, addr), .required = true,
		.example = "\"10.0.0.80\"",
		.help = "The address that clients use (VIP), IPv4 or IPv6." },
	{ "functions.services.port", KEY_INT, FIELD(config_service, port),
		.min = 1, .max = 65535, .example = "80",
		.otherwise = "none: needed but with icmp",
		.help = "The port that clients use." },
	{ "functions.services.protocol", KEY_CHOICE,
		FIELD(config_service, proto), .required = true,
		.choices = protocols, .example = "\"tcp\"",
		.help = "icmp is echo (ping), of the address's family." },
	{ "functions.services.scheduler", KEY_CHOICE,
		FIELD(config_service, scheduler), .choices = schedulers,
		.otherwise = "\"maglev\"; of a proxy, \"rr\"",
		.example = "\"maglev\"",
		.help = "How a backend is picked for a new connection, always "
			"by weight: consistent hashing (maglev), in turn (rr), "
			"or the fewest connections (leastconn). A proxy picks "
			"for each request, and knows the latter two." },
	{ "functions.services.hash", KEY_CHOICE,
		FIELD(config_service, hash_source), .choices = hashes,
		.initial = "5-tuple", .example = "\"source\"",
		.help = "What steers and picks: the whole 5-tuple, or the "
			"client's address alone (source), which keeps a client "
			"on one backend and takes fragments." },

	/* --- backends --- */
	{ "functions.services.backends", KEY_LIST,
		ENTRIES(config_service, backends, config_backend),
		.max = GRANT_BACKENDS_MAX,
		.example = "( { address = \"10.0.1.21\"; port = 8080; } )",
		.help = "The servers behind a load balancer's or a proxy's "
			"service." },
	{ "functions.services.backends.address", KEY_ADDRESS,
		FIELD(config_backend, addr), .required = true,
		.example = "\"10.0.1.21\"",
		.help = "Its address, of the service's family; of a proxy, of "
			"one that snat has." },
	{ "functions.services.backends.port", KEY_INT,
		FIELD(config_backend, port), .min = 1, .max = 65535,
		.otherwise = "the service's port", .example = "8080",
		.help = "Its port." },
	{ "functions.services.backends.weight", KEY_INT,
		FIELD(config_backend, weight), .min = 0,
		.max = GRANT_WEIGHT_MAX, .initial = "1", .example = "1",
		.help = "Its share of new connections. 0 drains it: what is "
			"open goes on, nothing new comes." },

	/* --- services of a proxy --- */
	{ "functions.services.mode", KEY_CHOICE, .only = KEY_PROXY,
		FIELD(config_service, mode), .choices = proxy_modes,
		.initial = "http", .example = "\"tcp\"",
		.help = "What clients speak: HTTP/1.1, where each request "
			"finds its backend (http), or anything, where each "
			"connection does (tcp)." },
	{ "functions.services.proxy_protocol", KEY_CHOICE, .only = KEY_PROXY,
		FIELD(config_service, proxy_protocol),
		.choices = proxy_protocols, .initial = "none",
		.example = "\"any\"",
		.help = "The PROXY protocol that clients' connections begin "
			"with: version 1, version 2, or either (any). One that "
			"does not is closed. Only where a proxy of yours is in "
			"front: it says who the client is." },
	{ "functions.services.client_connections", KEY_INT, .only = KEY_PROXY,
		FIELD(config_service, client_connections), .min = 1,
		.max = 1 << 24, .otherwise = "half of functions.connections",
		.example = "10000",
		.help = "Clients' connections that each instance takes for "
			"this service; no more than functions.connections, of "
			"which backends need theirs." },
	{ "functions.services.retries", KEY_INT, .only = KEY_PROXY,
		FIELD(config_service, retries), .min = 0, .max = 10,
		.initial = "2", .example = "2",
		.help = "How often another backend, or the same again, is "
			"tried where one does not connect, or closes before "
			"the answer of a request that may be repeated." },
	{ "functions.services.access_log", KEY_BOOL, .only = KEY_PROXY,
		FIELD(config_service, access_log), .initial = "true",
		.example = "false",
		.help = "Whether its requests are in the access log of the "
			"function, if that has one." },
	{ "functions.services.forwarded_for", KEY_BOOL, .only = KEY_HTTP,
		FIELD(config_service, forwarded_for), .initial = "true",
		.example = "false",
		.help = "Tell backends who asks, by X-Forwarded-For, -Proto "
			"and -Port." },
	{ "functions.services.forwarded", KEY_BOOL, .only = KEY_HTTP,
		FIELD(config_service, forwarded), .initial = "false",
		.example = "true", .help = "Tell it by Forwarded (RFC 7239)." },
	{ "functions.services.trust_forwarded", KEY_BOOL, .only = KEY_HTTP,
		FIELD(config_service, trust_forwarded), .initial = "false",
		.example = "true",
		.help = "Keep what clients say in these headers, and add to "
			"it; else it is taken out. Only where a proxy of yours "
			"is in front." },
	{ "functions.services.max_header", KEY_QUANTITY, .unit = UNIT_SIZE,
		.only = KEY_HTTP, FIELD(config_service, max_header),
		.min = 1 << 10, .max = 64 << 10, .initial = "16K",
		.example = "\"16K\"",
		.help = "Most bytes of a request's or an answer's head, the "
			"first line included. Beyond it clients get 431." },
	{ "functions.services.max_headers", KEY_INT, .only = KEY_HTTP,
		FIELD(config_service, max_headers), .min = 8, .max = 1000,
		.initial = "100", .example = "100",
		.help = "Most header fields of a head. Beyond it clients get "
			"431." },
	{ "functions.services.max_body", KEY_QUANTITY, .unit = UNIT_SIZE,
		.only = KEY_HTTP, FIELD(config_service, max_body), .min = 1,
		.max = 1ull << 50, .otherwise = "any", .example = "\"10M\"",
		.help = "Most bytes of a request's body. Beyond it clients get "
			"413." },
	{ "functions.services.max_requests", KEY_INT, .only = KEY_HTTP,
		FIELD(config_service, max_requests), .min = 1, .max = 1 << 30,
		.otherwise = "any", .example = "1000",
		.help = "Requests on one connection of a client; with the last "
			"one's answer it is closed." },
	{ "functions.services.error_page", KEY_TEXT, .only = KEY_HTTP,
		FIELD(config_service, error_page),
		.otherwise = "a line of text", .example = "\"error.html\"",
		.help = "A file with the body, HTML, of answers that the proxy "
			"gives by itself (400, 503 and so on). At most 16K; "
			"read when the configuration is. A relative path is "
			"found from the folder of the file that names it." },

	{ "functions.services.timeouts", KEY_GROUP, .only = KEY_PROXY,
		FIELD(config_service, timeouts),
		.example = "{ response = \"5m\"; }",
		.help = "How long a client or a backend may take." },
	{ "functions.services.timeouts.connect", TIMEOUT("5s"),
		.only = KEY_PROXY, FIELD(config_waits, connect_ms),
		.help = "A backend, to take a connection. Then another is "
			"tried (retries), and in the end clients get 503." },
	{ "functions.services.timeouts.header", TIMEOUT("10s"),
		.only = KEY_PROXY, FIELD(config_waits, header_ms),
		.help = "A client, from a request's first byte to the end of "
			"its head; for the first request, from the "
			"connection's begin, PROXY protocol included. Then it "
			"gets 408." },
	{ "functions.services.timeouts.idle", TIMEOUT("60s"), .only = KEY_HTTP,
		FIELD(config_waits, idle_ms),
		.help = "Between two requests, and between two pieces of a "
			"body." },
	{ "functions.services.timeouts.response", TIMEOUT("60s"),
		.only = KEY_HTTP, FIELD(config_waits, response_ms),
		.help = "A backend, from the end of a request to the head of "
			"its answer. Then the client gets 504." },
	{ "functions.services.timeouts.tunnel", TIMEOUT("1h"),
		.only = KEY_PROXY, FIELD(config_waits, tunnel_ms),
		.help = "A tunnel (Upgrade, or mode tcp) in which neither side "
			"says anything." },

	{ "functions.services.cookie", KEY_TEXT, .only = KEY_HTTP,
		FIELD(config_service, cookie), .otherwise = "no stickiness",
		.example = "\"SRV\"",
		.help = "The name of a cookie that keeps a client on its "
			"backend. Its value names the backend by a keyed hash, "
			"so that it holds over restarts." },
	{ "functions.services.send_proxy", KEY_CHOICE, .only = KEY_PROXY,
		FIELD(config_service, send_proxy), .choices = send_protocols,
		.initial = "none", .example = "\"v2\"",
		.help = "The PROXY protocol that connections to backends begin "
			"with, to tell them who the client is. In mode http "
			"such a connection serves one client only." },
	{ "functions.services.max_idle", KEY_INT, .only = KEY_HTTP,
		FIELD(config_service, max_idle), .min = 0, .max = 65535,
		.initial = "64", .example = "64",
		.help = "Connections that each instance keeps to each backend, "
			"for requests to come." },

	{ "functions.services.groups", KEY_LIST, .only = KEY_HTTP,
		ENTRIES(config_service, groups, config_group), .min = 1,
		.max = GRANT_GROUPS_MAX,
		.example = "( { name = \"api\"; backends = ( ... ); } )",
		.help = "More backends, in groups that serve different things. "
			"The service's own backends are the group \"default\", "
			"which takes what no route fits; without it, the first "
			"group does." },
	{ "functions.services.groups.name", KEY_NAME, FIELD(config_group, name),
		.required = true, .max = GRANT_NAME_MAX - 1,
		.example = "\"api\"", .help = "Its name, in the service." },
	{ "functions.services.groups.scheduler", KEY_CHOICE,
		FIELD(config_group, scheduler), .choices = group_schedulers,
		.initial = "rr", .example = "\"leastconn\"",
		.help = "As services.scheduler." },
	{ "functions.services.groups.cookie", KEY_TEXT,
		FIELD(config_group, cookie), .otherwise = "no stickiness",
		.example = "\"API\"",
		.help = "As services.cookie; each group has another." },
	{ "functions.services.groups.send_proxy", KEY_CHOICE,
		FIELD(config_group, send_proxy), .choices = send_protocols,
		.initial = "none", .example = "\"v1\"",
		.help = "As services.send_proxy." },
	{ "functions.services.groups.max_idle", KEY_INT,
		FIELD(config_group, max_idle), .min = 0, .max = 65535,
		.initial = "64", .example = "64",
		.help = "As services.max_idle." },
	{ "functions.services.groups.backends", KEY_LIST,
		ENTRIES(config_group, backends, config_backend),
		.required = true, .min = 1, .max = GRANT_BACKENDS_MAX,
		.example = "( { address = \"10.0.1.31\"; port = 8080; } )",
		.help = "The servers of the group." },
	{ "functions.services.groups.backends.address", KEY_ADDRESS,
		FIELD(config_backend, addr), .required = true,
		.example = "\"10.0.1.31\"",
		.help = "Its address, of a family that snat has." },
	{ "functions.services.groups.backends.port", KEY_INT,
		FIELD(config_backend, port), .min = 1, .max = 65535,
		.otherwise = "the service's", .example = "8080",
		.help = "Its port." },
	{ "functions.services.groups.backends.weight", KEY_INT,
		FIELD(config_backend, weight), .min = 0,
		.max = GRANT_WEIGHT_MAX, .initial = "1", .example = "1",
		.help = "As services.backends.weight." },

	{ "functions.services.routes", KEY_LIST, .only = KEY_HTTP,
		ENTRIES(config_service, routes, config_route), .min = 1,
		.max = GRANT_ROUTES_MAX,
		.example = "( { path = \"/v1/\"; group = \"api\"; } )",
		.help = "Which requests go to which group. Whatever their "
			"order in the file: of those that fit, one with the "
			"host itself wins over one with names below it, that "
			"over one without a host; then the longer path "
			"wins." },
	{ "functions.services.routes.host", KEY_TEXT, FIELD(config_route, host),
		.otherwise = "any", .example = "\"api.example.org\"",
		.help = "The host that is asked for, without a port, in small "
			"letters or large; \"*.example.org\" is every name "
			"below example.org, not that itself." },
	{ "functions.services.routes.path", KEY_TEXT, FIELD(config_route, path),
		.otherwise = "any", .example = "\"/v1/\"",
		.help = "What the path begins with, in whole parts: \"/v1\" "
			"is /v1 and all below it, not /v10. As it is sent, "
			"byte by byte." },
	{ "functions.services.routes.group", KEY_TEXT,
		FIELD(config_route, group), .required = true,
		.example = "\"api\"",
		.help = "The group, by its name; \"default\" is the service's "
			"own backends." },
	{ 0 },
};

bool
key_in(const struct key *key, const char *path)
{
	size_t n = strlen(path);

	if (n == 0)
		return strchr(key->path, '.') == NULL;
	return strncmp(key->path, path, n) == 0 && key->path[n] == '.' &&
	       strchr(key->path + n + 1, '.') == NULL;
}

const char *
key_name(const struct key *key)
{
	const char *dot = strrchr(key->path, '.');

	return dot == NULL ? key->path : dot + 1;
}

const struct key *
key_find(const char *path, const char *name)
{
	for (const struct key *k = keys; k->path != NULL; k++)
		if (key_in(k, path) && strcmp(key_name(k), name) == 0)
			return k;
	return NULL;
}

const char *
config_durability_name(uint32_t durability)
{
	for (const struct key_choice *c = durabilities; c->name != NULL; c++)
		if (c->value == durability)
			return c->name;
	return "unknown";
}
