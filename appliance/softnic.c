/* SPDX-License-Identifier: BSD-3-Clause */
/* `carryall softnic NAME`: started by the control plane, never by hand. */
#include "dataplane/softnic/softnic.h"

#include <signal.h>
#include <stdio.h>

#include "appliance/verbs.h"

static struct softnic *nic;
static volatile sig_atomic_t stopped;

static void
on_stop(int sig)
{
	(void)sig;
	stopped = 1;
	if (nic != NULL)
		softnic_stop(nic);
}

/*
 * A terminal's Ctrl-C is the control plane's business, which then stops us by
 * mail or SIGTERM. A broken pipe for standard error must end nothing.
 */
static void
signals_init(void)
{
	struct sigaction stop = { .sa_handler = on_stop };
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGINT, &ignore, NULL);
	sigaction(SIGHUP, &ignore, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
}

int
verb_softnic(int argc, char **argv)
{
	char why[256] = "";

	if (argc != 2) {
		fprintf(stderr, "carryall softnic: is started by carryall "
				"run, not by hand\n");
		return 2;
	}
	signals_init();
	nic = softnic_open(why, sizeof(why));
	if (nic == NULL) {
		fprintf(stderr, "carryall: %s: %s\n", argv[1], why);
		return 1;
	}
	/* A signal that came before there was anything to stop. */
	if (stopped)
		softnic_stop(nic);
	softnic_run(nic);
	softnic_close(nic);
	return 0;
}
