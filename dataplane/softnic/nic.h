/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the parts of the NIC in software share: softnic.c (its life), loop.c
 * (a round), transmit.c (what instances send), doze.c (sleep), update.c (new
 * tables, mail).
 */
#ifndef CARRYALL_SOFTNIC_NIC_H
#define CARRYALL_SOFTNIC_NIC_H

#include <pthread.h>
#include <rte_mbuf.h>
#include <rte_rcu_qsbr.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/mailbox.h"
#include "dataplane/softnic/attach.h"
#include "dataplane/softnic/capture.h"
#include "dataplane/softnic/lookup.h"
#include "dataplane/softnic/port.h"
#include "dataplane/softnic/sched.h"
#include "dataplane/softnic/softnic.h"
#include "dataplane/softnic/tap.h"
#include "dataplane/softnic/watchdog.h"

#define NIC_BURST 32
#define NIC_STAGE VIRTQ_BURST_MAX

/* An uplink is flushed at a burst; one more, and the kernel's, fit behind. */
#define NIC_OUT (2 * NIC_BURST + TAP_BURST)

/* The loop's number as a reader (rte_rcu_qsbr). */
#define NIC_READER 0

/* Frames that wait to be put into an instance's ring, in one round. */
struct nic_stage {
	uint16_t n;
	struct rte_mbuf *pkts[NIC_STAGE];
};

/* Frames that wait to leave; those that the port did not take stay. */
struct nic_out {
	uint16_t n;
	struct rte_mbuf *pkts[NIC_OUT];
};

/* What one uplink's loop needs; its counters are in `stats`. */
struct nic_uplink {
	struct port port;
	int tap; /* or -1 */
	struct nic_out out;
	uint16_t n_kernel;
	struct rte_mbuf *kernel[TAP_BURST]; /* for the tap, in one burst */
};

/* Sleep: doze.c. */
struct nic_doze {
	int epoll;
	int wake;       /* eventfd: come back now */
	bool look;      /* a port has no doorbell */
	uint64_t spin;  /* ns of empty rounds before it sleeps */
	uint64_t empty; /* since when rounds are empty; 0: they are not */
	struct port_bells bells;
};

struct softnic {
	/* the loop's, per packet */
	struct steer_tables lookup; /* `rows`: the tables it goes by */
	struct softnic_stats *stats;
	uint32_t seed, n_vnics, n_uplinks;
	uint32_t staged;   /* bit per VNIC: something is in its stage */
	uint32_t received; /* bit per VNIC: its receive ring was filled */
	uint32_t sent;     /* bit per VNIC: its transmit ring was emptied */
	struct attach_link *link[SOFTNIC_VNICS_MAX];
	struct capture_ring *capture; /* or NULL */

	/* the loop's, per round */
	uint64_t now_ns;
	uint64_t tap_ns;              /* when to look at the taps again */
	uint64_t tsc_base, tsc_to_ns; /* times 2^32 */
	struct attach *attach;
	struct rte_rcu_qsbr *qsbr;
	struct rte_mempool *pool;
	uint16_t n_spare;
	struct rte_mbuf *spare[NIC_BURST]; /* empty */
	struct sched sched;
	struct nic_uplink uplink[SOFTNIC_UPLINKS_MAX];
	struct nic_stage stage[SOFTNIC_VNICS_MAX];
	struct nic_doze doze;
	struct watchdog dog;

	/* shared with the control thread */
	const struct softnic_tables *tables; /* atomic: those in force */
	volatile sig_atomic_t stop;

	/* seldom */
	const struct softnic_tables *first; /* what it was started with */
	bool mapped;                        /* tables and counters are files */
	bool own_eal;
	uint32_t n_ports; /* open */
	bool mail;        /* there is a mailbox, and a thread for it */
	bool mail_ended;  /* atomic */
	int mail_quit;    /* eventfd */
	struct mailbox mailbox;
	pthread_t mail_thread;
};

/* The NIC's time: nanoseconds since it was opened, never 0. */
static inline uint64_t
nic_ns(const struct softnic *nic, uint64_t tsc)
{
	return (uint64_t)((unsigned __int128)(tsc - nic->tsc_base) *
				  nic->tsc_to_ns >>
			  32) +
	       1;
}

/* --- loop.c, transmit.c -------------------------------------------------- */

/* Go by the tables in force. Thread: the loop. */
void nic_take_tables(struct softnic *nic);

/* VNIC i's rings are broken, for the reason of `rc`. Thread: the loop. */
void nic_break(struct softnic *nic, uint32_t i, int rc);

/* A frame for whoever captures on VNIC i; nothing if nobody does. */
void nic_capture(struct softnic *nic, uint32_t i, const struct rte_mbuf *m,
	int drop, uint32_t from_vnic);

static inline bool
nic_captures(const struct softnic *nic, uint32_t i)
{
	return unlikely(__atomic_load_n(&nic->stats->capture[i],
				__ATOMIC_RELAXED) != 0) &&
	       nic->capture != NULL;
}

/* What came in on the uplinks, to the rings; frames. Thread: the loop. */
unsigned int nic_receive(struct softnic *nic);

/* What instances send, and the kernel; frames moved. Thread: the loop. */
unsigned int nic_transmit(struct softnic *nic);

/* --- doze.c -------------------------------------------------------------- */

int nic_doze_init(struct softnic *nic, char *why, size_t len);
void nic_doze_fini(struct softnic *nic);

/* A round was empty: spin, or sleep until something happens. */
void nic_idle(struct softnic *nic);

/* Come back from sleep. Thread: any; safe in a signal handler. */
void nic_wake(struct softnic *nic);

/* --- update.c ------------------------------------------------------------ */

int nic_mail_start(struct softnic *nic, char *why, size_t len);
void nic_mail_end(struct softnic *nic);

/* The tables in a file, checked, or NULL with the reason. */
const struct softnic_tables *nic_tables_map(int fd, char *why, size_t len);

#endif
