/* Memory for what must not get into a core file, or stay behind. */
#ifndef SINKD_POLICY_VAULT_H
#define SINKD_POLICY_VAULT_H

#include <stddef.h>

/* n bytes, all zero, aligned for any type if n is a multiple of the alignment.  What lies
 * behind them cannot be touched.  Costs pages of its own.  Returns NULL without memory.
 */
void *vault_alloc(size_t n);

/* Give back the n bytes; nothing of them is left.  NULL is fine. */
void vault_free(void *p, size_t n);

#endif
