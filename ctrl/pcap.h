/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What captures of a VNIC's packets share: their options, their file, and
 * that one runs at a time.
 */
#ifndef CARRYALL_PCAP_H
#define CARRYALL_PCAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct capture_options {
	uint32_t snap_bytes;  /* most bytes kept of a frame; 0: all */
	uint64_t max_packets; /* end after so many; 0: no end */
	bool drops;           /* those that are dropped too */
	int stop_fd;          /* end when it is readable; or -1 */
};

struct capture_result {
	uint64_t packets; /* written */
	uint64_t lost;    /* not copied, as the reader was too slow */
};

/* A pcap file of Ethernet frames with nanosecond times, being written. */
struct pcap {
	FILE *out; /* borrowed */
	uint32_t snap_bytes;
	uint64_t max_packets;
	uint64_t packets;        /* written */
	int64_t clock_offset_ns; /* CLOCK_REALTIME less CLOCK_MONOTONIC */
	bool ended;              /* max_packets, or `out` takes no more */
};

/* Write the file's header. 0 or -EIO. */
int pcap_begin(
	struct pcap *p, FILE *out, const struct capture_options *options);

/*
 * Write a frame of `length` bytes, seen at `time_ns` of CLOCK_MONOTONIC, of
 * which frame[0..have) is there. Nothing when it has ended.
 */
void pcap_write(struct pcap *p, uint64_t time_ns, const void *frame,
	uint32_t have, uint32_t length);

void pcap_flush(struct pcap *p);

/* RUN_DIR/capture.lock, taken: to be closed. -EBUSY: another capture; -errno.
 */
int capture_lock(const char *run_dir);

/* Put `err` into words; returns it. */
int capture_explain(int err, const char *vnic, char *why, size_t len);

#endif
