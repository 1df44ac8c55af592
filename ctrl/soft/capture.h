/* SPDX-License-Identifier: BSD-3-Clause */
/* Seeing the packets of a VNIC of a NIC in software. */
#ifndef CARRYALL_SOFT_CAPTURE_H
#define CARRYALL_SOFT_CAPTURE_H

#include "ctrl/capture_file.h"

/* Has the appliance under `run_dir` a NIC in software? */
bool soft_capture_here(const char *run_dir);

/* As xdp_capture() (ctrl/xdp/capture.h), which it stands beside. */
int soft_capture(const char *run_dir, const char *name,
	const struct capture_options *options, struct capture_result *result,
	char *why, size_t len);

#endif
