/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An instance: one process, one core, one VNIC, one function.
 *
 *   instance_init   map the grant and the counters, attach the VNIC, lay
 *                   down privileges, create the function
 *   instance_run    the loop, until mail or a signal ends it
 *   instance_fini   give everything back
 */
#ifndef CARRYALL_INSTANCE_H
#define CARRYALL_INSTANCE_H

#include <signal.h>
#include <stdint.h>

#include "dataplane/instance_log.h"
#include "dataplane/mailbox.h"
#include "dataplane/nf.h"
#include "dataplane/vnic.h"

/* Descriptors that the control plane leaves open for a new instance. */
enum instance_fd {
	INSTANCE_FD_GRANT = 3,
	INSTANCE_FD_STATS,
	INSTANCE_FD_NEXTHOPS,
	INSTANCE_FD_MAILBOX,
	INSTANCE_FD_STORE,   /* closed: no log is kept */
	INSTANCE_FD_DAMAGED, /* a store to recover from, or closed */
	INSTANCE_FD_ACCESS,  /* the access log's ring, or closed */
};

/*
 * Packets that wait to be sent: a burst, what it emits, and what the VNIC's
 * ring did not take before.
 */
#define INSTANCE_OUT_MAX 256

/* A VNIC that takes nothing for so long is not waited for. */
#define INSTANCE_OUT_WAIT_US 100000

struct instance {
	/* per packet */
	struct vnic vnic;
	const struct nf *nf;
	void *nf_state;
	struct stats *stats;
	uint16_t n_out;
	uint16_t n_left; /* out[0..n_left) the ring did not take before */

	/* per loop */
	uint64_t now_tsc;
	uint64_t tick_tsc;  /* when tick and mail are due */
	uint64_t count_tsc; /* when mbufs are counted again */
	uint32_t idle_loops;
	uint32_t spin_loops; /* empty polls before it sleeps */
	uint64_t tsc_per_us;
	uint64_t left_tsc;  /* when the ring last took any, with n_left */
	bool durable_again; /* the function is to be told once more */
	struct instance_log log;
	volatile sig_atomic_t stop;

	/* seldom */
	struct mailbox mailbox;
	struct nf_env env;
	struct rte_mbuf *out[INSTANCE_OUT_MAX];
};

/*
 * Set up everything from the inherited descriptors. Returns 0, or -errno
 * with the reason in why[0..len); then the process should end; with
 * INSTANCE_EXIT_DAMAGED if it is -EUCLEAN. With 0 there may be a warning in
 * why[0..len).
 */
int instance_init(struct instance *in, char *why, size_t len);

/* Serve until told to stop. Thread: the instance's one. */
void instance_run(struct instance *in);

void instance_fini(struct instance *in);

/*
 * The pieces of the loop that tests drive without a VNIC: apply the verdicts
 * of a burst. Each packet is afterwards in in->out, held, or freed. For want
 * of room those that came last before are freed, and counted.
 */
void instance_dispatch(struct instance *in, struct rte_mbuf **pkts, uint16_t n,
	const nf_verdict *verdict);

/*
 * Empty polls before the loop sleeps: few where the core is shared, none
 * ever where there is no doorbell to wake it.
 */
uint32_t instance_spin_loops(const struct grant *grant, int doorbell);

/*
 * Wait up to `timeout_us` for mail or the doorbell, and do what mail says; 0
 * only looks.
 */
void instance_mail(struct instance *in, uint32_t timeout_us);

/*
 * Let the log write and take what was written, and tell the function when
 * something has changed, or if it waits to be told again.
 */
void instance_log_poll(struct instance *in);

/*
 * Send in->out, in order; what the VNIC has no room for stays, until
 * INSTANCE_OUT_WAIT_US have passed in which it took none: then all is freed
 * and counted. Returns how many are gone.
 */
uint16_t instance_flush(struct instance *in);

/* nf_env.emit: into in->out; freed and counted if that is full. */
void instance_emit(void *in, struct rte_mbuf *m);

/* nf_env.room: none while the VNIC has left some, and a burst's room kept. */
uint16_t instance_room(void *in);

#endif
