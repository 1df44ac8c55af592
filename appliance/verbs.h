/* SPDX-License-Identifier: BSD-3-Clause */
/* The verbs of the command line: each takes its own argv and exits 0..2. */
#ifndef CARRYALL_VERBS_H
#define CARRYALL_VERBS_H

int verb_capture(int argc, char **argv);
int verb_check(int argc, char **argv);
int verb_instance(int argc, char **argv);
int verb_keys(int argc, char **argv);
int verb_log(int argc, char **argv);
int verb_reload(int argc, char **argv);
int verb_run(int argc, char **argv);
int verb_softnic(int argc, char **argv);
int verb_status(int argc, char **argv);
int verb_stop(int argc, char **argv);
int verb_top(int argc, char **argv);
int verb_version(int argc, char **argv);

#endif
