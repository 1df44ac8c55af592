/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel's end of an uplink whose port is ours alone: a tap device that
 * the control plane has made. What no service wants goes there, and what the
 * kernel sends by it goes out. One system call per frame: this is for ARP
 * and ssh, and bounded per round.
 */
#ifndef CARRYALL_SOFTNIC_TAP_H
#define CARRYALL_SOFTNIC_TAP_H

#include <stddef.h>
#include <stdint.h>

struct rte_mbuf;

/* Frames in either direction per round. */
#define TAP_BURST 16

/*
 * Attach to the persistent tap `name`. The descriptor, which is readable when
 * the kernel sends, or -errno with the reason in why[0..len).
 */
int tap_attach(const char *name, char *why, size_t len);

/*
 * Hand pkts[0..n) to the kernel. The caller keeps all. How many were taken;
 * a burst ends at the first that was not.
 */
uint16_t tap_write(int fd, struct rte_mbuf *const *pkts, uint16_t n);

/*
 * Take up to n frames that the kernel sends into pkts[0..n), empty packets.
 * How many there were. One that does not fit is lost, as on a wire.
 */
uint16_t tap_read(int fd, struct rte_mbuf **pkts, uint16_t n);

#endif
