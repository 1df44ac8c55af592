/* SPDX-License-Identifier: BSD-3-Clause */
/* `carryall instance NAME`: started by the control plane, never by hand. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "appliance/verbs.h"
#include "dataplane/instance.h"

static struct instance instance;

static void
on_stop(int sig)
{
	(void)sig;
	instance.stop = 1;
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
verb_instance(int argc, char **argv)
{
	char why[256] = "";
	int rc;

	if (argc != 2) {
		fprintf(stderr, "carryall instance: is started by carryall "
				"run, not by hand\n");
		return 2;
	}
	signals_init();
	rc = instance_init(&instance, why, sizeof(why));
	if (why[0] != '\0')
		fprintf(stderr, "carryall: %s: %s\n", argv[1], why);
	if (rc != 0)
		return rc == -EUCLEAN ? INSTANCE_EXIT_DAMAGED : 1;
	instance_run(&instance);
	instance_fini(&instance);
	return 0;
}
