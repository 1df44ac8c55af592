/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/nf.h"

#include <string.h>

const struct nf *
nf_find(const char *name)
{
	for (const struct nf *const *nf = nf_all; *nf != NULL; nf++)
		if (strcmp((*nf)->name, name) == 0)
			return *nf;
	return NULL;
}
