/* Memory for secrets; see vault.h.
 *
 * Allocates in the master, which may leave a core file; the workers, which share these
 * pages with it, leave none.  The kernel clears pages that are given back. */
#include "policy/vault.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* Of n bytes, with what lies before them in their first page. */
static size_t page_bytes(size_t n, size_t page)
{
	return (n + page - 1) / page * page;
}

void *vault_alloc(size_t n)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), size = page_bytes(n, page);
	char *p;

	if (n > SIZE_MAX / 2)
		return NULL;
	p = mmap(NULL, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		-1, 0);
	if (p == MAP_FAILED)
		return NULL;
	/* Kernels that know neither go on with less. */
	(void)madvise(p, size, MADV_DONTDUMP);
	(void)mprotect(p + size, page, PROT_NONE);
	return p + size - n;
}

void vault_free(void *p, size_t n)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), size = page_bytes(n, page);

	if (p != NULL)
		(void)munmap((char *)p + n - size, size + page);
}
