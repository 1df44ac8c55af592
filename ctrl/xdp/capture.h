/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Seeing a VNIC's packets: tcpdump on a device sees nothing of what XDP
 * takes, so the BPF programs copy frames on request.
 */
#ifndef CARRYALL_XDP_CAPTURE_H
#define CARRYALL_XDP_CAPTURE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct xdp_capture_options {
	uint32_t snap_bytes;  /* most bytes kept of a frame; 0: all */
	uint64_t max_packets; /* end after so many; 0: no end */
	bool drops;           /* those that are dropped too */
	int stop_fd;          /* end when it is readable; or -1 */
};

struct xdp_capture_result {
	uint64_t packets; /* written */
	uint64_t lost;    /* not copied, as the reader was too slow */
};

/*
 * Write what goes to and from VNIC `name` ("web.0") of the appliance under
 * `run_dir` to `out`, as a pcap file of Ethernet frames with nanosecond
 * times (as libpcap writes and reads them), flushed whenever no more is
 * there at the moment. Blocks until one of the ends in `options`, or until
 * `out` takes no more. One capture at a time per appliance. Thread: any, in
 * any process; nothing stays switched on even when that is killed, but for
 * the flag, which the next capture of the VNIC takes back.
 *
 * 0; or -errno with the reason in why[0..len): -ENOENT no such appliance or
 * VNIC, -EBUSY another capture, -EPERM not root, -EIO.
 */
int xdp_capture(const char *run_dir, const char *name,
	const struct xdp_capture_options *options, FILE *out,
	struct xdp_capture_result *result, char *why, size_t len);

#endif
