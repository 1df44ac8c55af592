/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The access log: lines from the instances' rings to files.
 *
 *   INSTANCE.access --+
 *   INSTANCE.access --+--> lines --> the file of the function
 *   INSTANCE.access --+    (64 KiB at a time, O_APPEND)
 *
 * About ten times a second, and at once while there is more, it takes a
 * bounded number of records out of the rings and writes their lines. What
 * cannot be written stays: first here, then in the rings, until they are full
 * and the instances drop, and count, what does not fit. So a disk that is full
 * for a while costs nothing, and one that is so for long is told once.
 *
 * A file that was renamed or removed is left, and made again under its name;
 * so is every file on a reload.
 *
 * Rings are files of the run directory: they outlive a control plane, and the
 * next one goes on where the last one stopped.
 *
 * Thread: control.
 */
#ifndef CARRYALL_ACCESS_LOG_H
#define CARRYALL_ACCESS_LOG_H

#include <jansson.h>
#include <systemd/sd-event.h>

#include "ctrl/plan.h"
#include "ctrl/rundir.h"

struct access_log;

/*
 * The ring of instance `name`, made if it is not there: a descriptor to map,
 * or -errno.
 */
int access_ring_open(const struct rundir *dir, const char *name);

/*
 * Follow the rings of `plan`, which is borrowed until access_log_update(), as
 * is `dir`. `say` takes lines for people. A file that cannot be opened is
 * said, and tried again. 0 or -errno.
 */
int access_log_create(struct access_log **out, sd_event *event,
	const struct rundir *dir, const struct plan *plan,
	void (*say)(const char *line));

/* Go on by `plan`, which has the same instances; open all files anew. */
void access_log_update(struct access_log *log, const struct plan *plan);

/*
 * Write one turn's lines: of all rings together at most `lines`. Returns 1 if
 * there may be more. For the event loop, and tests.
 */
int access_log_turn(struct access_log *log, unsigned int lines);

/*
 * The log of function `i` as an object, owned by the caller: file, format,
 * lines so far, failed openings and writes, and the error that lasts. NULL: it
 * keeps none.
 */
json_t *access_log_json(const struct access_log *log, uint32_t i);

/* Write what is left in the rings, as far as that can be, and let go. */
void access_log_free(struct access_log *log);

#endif
