/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Seeing a VNIC's packets: tcpdump on a device sees nothing of what XDP
 * takes, so the BPF programs copy frames on request.
 */
#ifndef CARRYALL_XDP_CAPTURE_H
#define CARRYALL_XDP_CAPTURE_H

#include "ctrl/capture_file.h"

/*
 * Write what goes to and from VNIC `name` ("web.0") of the appliance under
 * `run_dir` to the file or files in `options`, flushed whenever no more is
 * there at the moment. Blocks until one of the ends in `options`, or until
 * whoever reads a pipe has gone. One capture at a time per appliance.
 * Nothing is switched on, and no file touched, before all else is in order.
 * Thread: any, in any process; nothing stays switched on even when that is
 * killed, but for the flag, which the next capture of the VNIC takes back.
 *
 * 0; or -errno with the reason in why[0..len): -ENOENT no such appliance or
 * VNIC, -EBUSY another capture, -EPERM not root, and of capture_file_open()
 * and capture_file_close().
 */
int xdp_capture(const char *run_dir, const char *name,
	const struct capture_options *options, struct capture_result *result,
	char *why, size_t len);

#endif
