/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Seeing a VNIC's packets: tcpdump on a device sees nothing of what XDP
 * takes, so the BPF programs copy frames on request.
 */
#ifndef CARRYALL_XDP_CAPTURE_H
#define CARRYALL_XDP_CAPTURE_H

#include <stdio.h>

#include "ctrl/pcap.h"

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
	const struct capture_options *options, FILE *out,
	struct capture_result *result, char *why, size_t len);

#endif
