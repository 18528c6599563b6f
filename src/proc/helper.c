/* Helper processes; see helper.h.  Runs in the master. */
#include "proc/helper.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "proc/pool.h"

void helper_note_start(struct helper *h, pid_t pid, uint64_t now_ms)
{
	h->pid = pid;
	h->birth_ms = now_ms;
}

uint64_t helper_note_death(struct helper *h, uint64_t now_ms)
{
	bool was_young = h->pid == 0 || now_ms - h->birth_ms < POOL_THROTTLE_MIN_MS;
	uint64_t wait_ms = 0;

	h->pid = 0;
	h->young_deaths = was_young ? h->young_deaths + 1 : 0;
	if (h->young_deaths > 1) {
		wait_ms = POOL_THROTTLE_MIN_MS;
		for (unsigned i = 2; i < h->young_deaths; i++)
			if (wait_ms < POOL_THROTTLE_MAX_MS)
				wait_ms *= 2;
	}
	if (wait_ms > POOL_THROTTLE_MAX_MS)
		wait_ms = POOL_THROTTLE_MAX_MS;
	h->due_ms = now_ms + wait_ms;
	return wait_ms;
}

void helper_end(struct helper *h)
{
	if (h->pid <= 0)
		return;
	(void)kill(h->pid, SIGKILL);
	while (waitpid(h->pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	h->pid = 0;
}
