/* BDAT: a message in chunks of announced length (CHUNKING and BINARYMIME, RFC 3030). */
#ifndef SINKD_SMTP_CHUNK_H
#define SINKD_SMTP_CHUNK_H

#include <stddef.h>

#include "base/str.h"

struct smtp;

/* The command was given, in order. */
void chunk_run(struct smtp *s, struct str argument);

/* The command was given and refused, which has been said: if its argument tells how many
 * octets follow, they are read and thrown away. */
void chunk_discard(struct smtp *s, struct str argument);

/* Octets of a chunk (MODE_CHUNK); returns how many were used. */
size_t chunk_feed(struct smtp *s, const char *p, size_t n);

#endif
