/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The log in the life of an instance: from the descriptors that it inherits,
 * through its loop, to its end. Without a store all of this does nothing.
 */
#ifndef CARRYALL_INSTANCE_LOG_H
#define CARRYALL_INSTANCE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/grant.h"
#include "dataplane/log/file.h"
#include "dataplane/log/plog.h"
#include "dataplane/log/uring.h"
#include "dataplane/stats.h"

struct instance_log {
	struct plog *log; /* NULL: none is kept */
	struct plog_uring *uring;
	struct plog_file damaged; /* to recover from, or fd -1 */
	struct plog_io damaged_io;
};

/*
 * Take over the store's descriptor, if the grant asks for a log and the
 * control plane could give one; needs the privileges to make a ring. 0, also
 * when the instance has to do without: then why[0..len) says so; -EUCLEAN
 * when the store is damaged, with the reason.
 */
int instance_log_open(struct instance_log *l, const struct grant *grant,
	struct stats_log *stats, char *why, size_t len);

/* Write the loop's last words and let go, in at most two seconds. */
void instance_log_close(struct instance_log *l);

/* The function has recovered: append from here on. */
void instance_log_start(struct instance_log *l);

/* Once a second or so: the machine and the instance are alive. */
void instance_log_alive(const struct grant *grant, struct stats_log *stats);

/*
 * The loop is about to sleep for `*us` microseconds: make that as long as the
 * log can wait. False if there is something to do now.
 */
bool instance_log_sleep(struct instance_log *l, uint64_t now_ms, uint32_t *us);

void instance_log_awake(struct instance_log *l);

#endif
