/* Files that deliveries which never ended have left in the tmp of maildirs.
 *
 * Removed are ordinary files that nobody has written to or renamed for 36 hours, as
 * maildir(5) says, out of a directory tmp that has new and cur beside it, and nothing
 * else.  What cannot be removed does not keep the rest from it. */
#ifndef SINKD_DELIVERY_LEFTOVERS_H
#define SINKD_DELIVERY_LEFTOVERS_H

#include <stdint.h>
#include <time.h>

#include "base/str.h"

#define LEFTOVERS_AGE_SECONDS (36 * 3600)

/* In this directory, which may be open with O_PATH.  now: the time of day.  Adds to
 * *count how many files were removed.  Returns 0 or the first error, negative. */
int leftovers_remove(int tmp, time_t now, uint64_t *count);

/* In all mailboxes below root that the template `below` (mailbox.h) can mean: where it
 * has a macro any directory is one.  Symbolic links are not followed. */
int leftovers_remove_below(int root, struct str below, time_t now, uint64_t *count);

#endif
