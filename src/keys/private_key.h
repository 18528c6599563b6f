/* Reading a private key, in a child; see keys/errand.h. */
#ifndef SINKD_KEYS_PRIVATE_KEY_H
#define SINKD_KEYS_PRIVATE_KEY_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/str.h"

struct private_key_file {
	const char *path;
	struct str certificate; /* PEM: what it has to fit */
	int out;                /* where it goes */
};

/* An errand of a struct private_key_file. */
bool private_key_read(const void *file, struct buf *report);

#endif
