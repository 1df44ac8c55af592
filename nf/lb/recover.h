/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From the log to the tables: what an instance does before its first packet,
 * when a former one has left connections behind.
 */
#ifndef CARRYALL_LB_RECOVER_H
#define CARRYALL_LB_RECOVER_H

#include <stddef.h>

struct lb;

/*
 * Take the first grant, as lb_load(), and with it the connections of lb->log,
 * which is not started yet. What is lost is counted in stats->log. 0; -EBADMSG
 * if the log is damaged, then stats->log.end says PLOG_END_DAMAGED; or another
 * error, of lb_load() or plog_replay(). The reason is in why[0..len).
 */
int lb_recover(struct lb *lb, char *why, size_t len);

#endif
