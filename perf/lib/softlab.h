/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An appliance on a NIC in software, for benchmarks: the NIC is this process,
 * the instances are processes of their own, as the control plane starts them.
 *
 *   this process, core 0                      child processes, the last core
 *   +--------------------------------------+
 *   | traffic -> NIC (softnic_round) ------|--> VNIC --> carryall instance
 *   |    ^  the port is net_null: callbacks|             or a bare loop
 *   |    +-- make and take its frames      |<-- VNIC <--
 *   +--------------------------------------+
 *
 * Of the configuration the benchmark says the functions; the rest is the same
 * for all. What a child is to do stands in its grant's `type`: functions of
 * the product run in the product's own program, build/carryall.
 *
 * Life-cycle: softlab_plan(), in the process that reserves memory; then, in a
 * process of its own, for DPDK starts but once in one: softlab_open(), rounds,
 * softlab_close(). stage.h does this.
 */
#ifndef PERF_SOFTLAB_H
#define PERF_SOFTLAB_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "ctrl/plan.h"
#include "ctrl/rundir.h"
#include "ctrl/store.h"
#include "dataplane/softnic/counters.h"
#include "dataplane/softnic/softnic.h"
#include "dataplane/softnic/tables.h"
#include "dataplane/stats.h"

#define SOFTLAB_NIC_CORE 0

/* Entries of each ring of a VNIC. */
#define SOFTLAB_RING 1024u

struct softlab_instance {
	pid_t pid; /* 0: none */
	bool paused;
	int stats_fd;
	const struct stats *stats;
	struct store store; /* of a log, or not initialised */
};

struct softlab {
	struct config *config;
	struct plan *plan;
	struct softnic_tables *tables;
	uint32_t memory_mb; /* of all processes */
	bool huge;          /* these are there as huge pages */
	unsigned int core;  /* the instances' */
	pid_t *pids;        /* [SOFTNIC_VNICS_MAX], shared with the stage */

	struct rundir dir;
	char state[128]; /* directory of stores */
	int nexthops;
	struct softnic_stats *stats;
	struct softnic *nic;
	uint16_t port;
	uint64_t traffic_tsc; /* cycles in callbacks: the traffic's own */
	struct softlab_instance instance[SOFTNIC_VNICS_MAX];
};

/* What has been counted until now. */
struct softlab_mark {
	uint64_t tsc, ns;
	uint64_t own_ns; /* that the NIC's thread has run */
	uint64_t nic_busy_tsc, nic_idle_tsc, traffic_tsc;
	struct {
		uint64_t busy_tsc, idle_tsc, rx, tx, loops, sleeps, cpu_ns;
	} of[SOFTNIC_VNICS_MAX];
};

/*
 * Must be the first call of main(): returns if this process is no child; a
 * child runs and exits. `bare`: runs a child whose type is "limit".
 */
void softlab_child(int argc, char **argv, int (*bare)(void));

/* The core of the instances: the last one. Below 1: there is but one. */
int softlab_core(void);

/*
 * Plan for `functions`, the value of the key in a configuration, in which
 * CORE stands for the core of the instances. Functions run at the same time
 * (`together`), or take turns: then only instances of one function share their
 * core. 0, or -1 and said why.
 */
int softlab_plan(struct softlab *lab, const char *functions, bool together);
void softlab_plan_free(struct softlab *lab);

/* The generator takes `mb` more of DPDK's memory: after softlab_plan(). */
void softlab_memory(struct softlab *lab, uint32_t mb);

/* The run directory and where stores are: 0, or -1 and said why. */
int softlab_dir_make(struct softlab *lab);
void softlab_dir_remove(struct softlab *lab);

/*
 * Start the instances and the NIC, and turn rounds until all are attached and
 * serve. `lab` is planned and has its directory; `huge` and `pids` are set. 0,
 * or -1 and said why.
 */
int softlab_open(struct softlab *lab);
void softlab_close(struct softlab *lab);

/* Stop instance `i` (SIGSTOP); let it go on. */
void softlab_pause(struct softlab *lab, uint32_t i);
void softlab_resume(struct softlab *lab, uint32_t i);

/* Rounds of the NIC for `ns`. */
void softlab_run(struct softlab *lab, uint64_t ns);

void softlab_mark(const struct softlab *lab, struct softlab_mark *m);

/*
 * Frames that VNIC `i` and its instance have dropped since ever, towards the
 * instance, in it and from it.
 */
uint64_t softlab_drops(const struct softlab *lab, uint32_t i);

/* "NAME COUNT, ..." of all drops so far, for people, into buf[0..len). */
const char *softlab_drops_say(const struct softlab *lab, char *buf, size_t len);

#endif
