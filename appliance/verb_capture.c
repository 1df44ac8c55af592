/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>

#include "appliance/verbs.h"

int
verb_capture(int argc, char **argv)
{
	(void)argc;
	fprintf(stderr, "carryall: %s is not in this build\n", argv[0]);
	return 1;
}
