/* What the files of the rig share. */
#ifndef SINKD_TESTS_RIG_PARTS_H
#define SINKD_TESTS_RIG_PARTS_H

#include "rig.h"

/* Hooks that note their calls; user is the rig. */
extern const struct sinkd_hooks rig_hooks;

/* Mechanisms that are easy to please; user is the rig.  Any name will do.
 *
 *  PLAIN, LOGIN     the password "secret" is right, "later" cannot be checked now
 *  CRAM-MD5         "NAME right" is right
 *  SCRAM-SHA-256    the first challenge gives back what the client said; "c=,p=right"
 *                   is right, and gets a last word
 *  SCRAM-SHA-256-PLUS  the same, where there is a channel binding
 *  EXTERNAL         where there is a name for it */
extern const struct smtp_sasl rig_sasl;

/* A line of the trace: "what", and the n bytes at p. */
void rig_trace_add(struct rig *r, const char *what, const char *p, size_t n);

#endif
