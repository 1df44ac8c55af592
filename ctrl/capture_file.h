/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What captures of a VNIC's packets share: their options, the file or files
 * that they fill, and that one runs at a time.
 */
#ifndef CARRYALL_CAPTURE_FILE_H
#define CARRYALL_CAPTURE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct bpf_program;

/* Most bytes kept of a frame where no other bound is asked for. */
#define CAPTURE_SNAP_BYTES 262144

/* Most bytes of a frame that a provider copies. */
#define CAPTURE_COPY_MAX 16384

/* Least bound of a file: any filter, one frame, the totals. */
#define CAPTURE_FILE_MIN (32u << 10)

struct capture_options {
	const char *path;      /* "-": standard output */
	const char *appliance; /* its name, for the file to tell */
	const char *filter;    /* pcap-filter(7), or NULL: all */
	uint32_t snap_bytes;   /* most bytes kept of a frame; 0: all */
	uint64_t max_packets;  /* end after so many; 0: no end */
	uint64_t max_bytes;    /* most of a file; 0: no bound */
	uint32_t files; /* this many in turn, path.0 ...; 0: one, and an end
			 * where it is full */
	bool drops;     /* those that are dropped too */
	int stop_fd;    /* end when it is readable; or -1 */
};

struct capture_result {
	uint64_t packets; /* written */
	uint64_t lost;    /* not copied, as the reader was too slow */
};

/* A frame as a provider copied it: bytes[0..have) of `length` are there. */
struct capture_frame {
	uint64_t time_ns; /* CLOCK_MONOTONIC */
	const void *bytes;
	uint32_t have, length;
	bool from_instance, dropped;
};

/* The pcapng file being written. */
struct capture_file {
	const struct capture_options *options; /* borrowed */
	const char *interface;                 /* borrowed */
	struct bpf_program *filter;            /* NULL: all pass */
	FILE *out;
	uint32_t begun;          /* files */
	uint64_t bytes;          /* in this one */
	int64_t clock_offset_ns; /* CLOCK_REALTIME less CLOCK_MONOTONIC */
	uint64_t begin_ns;
	uint64_t received, accepted, packets;
	uint64_t lost; /* kept by the provider */
	bool ended;    /* one of the ends came, or `out` takes no more */
	int err;       /* what made it end, if that was no ordinary end */
};

/*
 * Compile the filter and begin the first file, of the VNIC `interface`. Both
 * arguments are borrowed until it is closed. 0; or -errno with the reason in
 * why[0..len): -EINVAL a filter that libpcap refuses, in its words, or a
 * bound that might hold no frame; what opening and writing gives. With what
 * that is refused no file is touched. Thread: any.
 */
int capture_file_open(struct capture_file *f,
	const struct capture_options *options, const char *interface, char *why,
	size_t len);

/*
 * Write a frame if it passes the filter; nothing once the capture has ended.
 * A frame for which the file has no room ends it, or goes into the next one.
 */
void capture_file_put(struct capture_file *f, const struct capture_frame *c);

/* Give what was written to whoever reads; that it is gone is an end. */
void capture_file_flush(struct capture_file *f);

/* Write the totals and close: 0, or -errno if anything could not be written. */
int capture_file_close(struct capture_file *f);

/* RUN_DIR/capture.lock, taken: to be closed. -EBUSY: another capture; -errno.
 */
int capture_lock(const char *run_dir);

/* Put `err` into words unless why[0..len) has some; returns it. */
int capture_explain(int err, const char *vnic, char *why, size_t len);

#endif
