/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A packet whose payload nobody can read or write unnoticed.
 *
 *      page 0, readable and writable     page 1.., no access
 *   [ .......... Ethernet, IP, TCP/UDP ][ payload ........... ]
 *                                       ^ a page's boundary
 *
 * Whoever copies, or so much as looks at, a byte of the payload gets a fault
 * from the processor; it is counted and the page opened. A function that
 * passes packets on in place never causes one.
 */
#ifndef PAYLOAD_GUARD_H
#define PAYLOAD_GUARD_H

#include <check.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_mbuf.h>

#define GUARD_PAGES 2 /* of payload */

static uint8_t *guard_memory;
static size_t guard_page;
static volatile sig_atomic_t guard_touched;
static struct rte_mbuf_ext_shared_info guard_info;

static void
guard_fault(int sig, siginfo_t *info, void *context)
{
	uint8_t *at = info->si_addr, *payload = guard_memory + guard_page;

	(void)context;
	if (at < payload || at >= payload + GUARD_PAGES * guard_page) {
		signal(sig, SIG_DFL);
		return;
	}
	guard_touched++;
	mprotect(payload, GUARD_PAGES * guard_page, PROT_READ | PROT_WRITE);
}

static void
guard_begin(void)
{
	struct sigaction sa = { .sa_sigaction = guard_fault,
		.sa_flags = SA_SIGINFO | SA_NODEFER };

	guard_page = (size_t)sysconf(_SC_PAGESIZE);
	guard_memory = mmap(NULL, (1 + GUARD_PAGES) * guard_page,
		PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert(guard_memory != MAP_FAILED);
	sigaction(SIGSEGV, &sa, NULL);
}

static void
guard_end(void)
{
	signal(SIGSEGV, SIG_DFL);
	munmap(guard_memory, (1 + GUARD_PAGES) * guard_page);
}

static void
guard_free(void *addr, void *opaque)
{
	(void)addr;
	(void)opaque;
}

/*
 * `m` with its bytes moved to guarded memory, the first `headers` of them
 * accessible. Same owner as before; one such packet at a time.
 */
static void
guard_packet(struct rte_mbuf *m, uint16_t headers)
{
	uint16_t len = rte_pktmbuf_data_len(m);
	uint8_t *payload = guard_memory + guard_page;

	mprotect(payload, GUARD_PAGES * guard_page, PROT_READ | PROT_WRITE);
	memcpy(payload - headers, rte_pktmbuf_mtod(m, uint8_t *), len);
	guard_info.free_cb = guard_free;
	rte_mbuf_ext_refcnt_set(&guard_info, 1);
	rte_pktmbuf_attach_extbuf(m, guard_memory, RTE_BAD_IOVA,
		(uint16_t)((1 + GUARD_PAGES) * guard_page), &guard_info);
	m->data_off = (uint16_t)(guard_page - headers);
	rte_pktmbuf_data_len(m) = len;
	rte_pktmbuf_pkt_len(m) = len;
	guard_touched = 0;
	mprotect(payload, GUARD_PAGES * guard_page, PROT_NONE);
}

/* Let the packet be read again. How often the payload was touched. */
static int
guard_lift(void)
{
	mprotect(guard_memory + guard_page, GUARD_PAGES * guard_page,
		PROT_READ | PROT_WRITE);
	return guard_touched;
}

/* That a touch is seen at all. */
static void
guard_prove(struct rte_mbuf *m, uint16_t headers)
{
	guard_packet(m, headers);
	rte_pktmbuf_mtod(m, volatile uint8_t *)[headers]++;
	ck_assert_int_eq(guard_lift(), 1);
}

#endif
