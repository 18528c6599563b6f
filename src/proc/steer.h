/* What the master does when sinkctl asks: the numbers, and orders. */
#ifndef SINKD_PROC_STEER_H
#define SINKD_PROC_STEER_H

#include <stdbool.h>
#include <stdint.h>

#include "proc/control.h"
#include "proc/crew.h"
#include "proc/keeper.h"
#include "proc/lineage.h"
#include "proc/rulebook.h"

/* A moment by both clocks: one tells which it was, the other how long ago. */
struct steer_moment {
	uint64_t unix_s;
	uint64_t monotonic_ms;
};

struct steer_moment steer_now(void);

/* The master, as far as sinkctl may know it. */
struct steer_view {
	const struct crew *crew;
	const struct lineage *lineage;
	const struct keeper *keeper;
	const struct rulebook *rulebook;
	enum control_state state;
	struct steer_moment started;
	struct steer_moment loaded;          /* the configuration */
	const struct slot_counts *at_reload; /* the totals then */

	void *user;
	/* Do it.  *ret_text, which lives until the next call, says what is done now, or
	 * why it is not.  Returns 0 or a positive errno. */
	int (*act)(
		void *user, const struct control_request *request, const char **ret_text);
};

/* Make the control socket in the runtime directory ("": there is none), is_successor: in
 * the place of that of the server that hands over to us.  Where that is not possible the
 * log says so, *ret_fd stays as it is, and the server is as good as ever for its clients.
 */
void steer_open(const char *runtime, bool is_successor, int *ret_fd);

/* Answer what is waiting at the control socket, up to the first order, which may change
 * all that the view points to.  Never blocks. */
void steer_hear(int control_fd, const struct steer_view *view);

#endif
