/* An errand: what a short-lived child does, so that what it has to read is never in the
 * memory of this process. */
#ifndef SINKD_KEYS_ERRAND_H
#define SINKD_KEYS_ERRAND_H

#include <stdbool.h>

#include "base/buf.h"

/* Done in the child.  Adds to report what the parent may know: the outcome, or when it
 * returns false what is wrong. */
typedef bool (*errand_fn)(const void *user, struct buf *report);

/* As much as a report may have. */
#define ERRAND_REPORT_MAX 16384

/* Run fn in a child and wait for it.  report is initialized here, and the caller's to
 * free in any case.  Returns 0 when fn did; -EINVAL when it did not, and the report says
 * why; another negative errno when there was no child, or it died. */
int errand_run(errand_fn fn, const void *user, struct buf *report);

#endif
