/* Memory that the master shares with its workers: a sealed memfd, of which each
 * worker maps what it may see, as it may see it. */
#ifndef SINKD_PROC_REGION_H
#define SINKD_PROC_REGION_H

#include <stddef.h>

/* In the master: size bytes, zeroed, sparse, writable through *ret_p; the mapping is
 * not inherited by children, who map *ret_fd instead.  The size is sealed for good: a
 * worker that could shorten the file would kill the master's next look.  seals are
 * further ones (F_SEAL_FUTURE_WRITE).  Returns 0 or a negative errno. */
int region_create(const char *name, size_t size, int seals, void **ret_p, int *ret_fd);

#endif
