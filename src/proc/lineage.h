/* The lineage: the generations there are.  One is current; a reload brings up a
 * candidate beside it; those before it are old, until their last worker has gone. */
#ifndef SINKD_PROC_LINEAGE_H
#define SINKD_PROC_LINEAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "proc/generation.h"
#include "proc/inherit.h"
#include "proc/rulebook.h"

struct lineage {
	struct generation *current;   /* NULL: before the start */
	struct generation *candidate; /* NULL: no reload is under way */
	struct generation *old;       /* linked by older */
	uint32_t last_number;
	bool is_daemon;          /* nobody reads standard error after the start */
	struct inherit *inherit; /* sockets we were started with; of the caller */
	/* What sinkctl has said of the level of the log, or -1; NULL: it cannot.  Of the
	 * caller. */
	const _Atomic int32_t *log_level;
	struct rulebook *rulebook; /* of the caller */
};

/* Open what this configuration needs, the log too; listeners that the current generation
 * has are shared.  Takes config over, which may be that of another generation, and one
 * use of the keyring (NULL: none).  What goes wrong is logged, at this level, and undone.
 * Returns 0, or the exit status that says what is wrong. */
int lineage_open(struct lineage *l, const struct config *config, struct keyring *keyring,
	enum log_level level, struct generation **ret);

/* The candidate becomes the current generation; the one before it is dismissed.  What
 * both of them listen on is kept. */
void lineage_promote(struct lineage *l);

/* The candidate is dismissed, and the log is that of the current generation again. */
void lineage_abandon(struct lineage *l);

/* All are dismissed.  is_kept: another process goes on with the Unix sockets. */
void lineage_dismiss_all(struct lineage *l, bool is_kept);

/* A worker of g has gone, maybe the last of an old generation. */
void lineage_note_death(struct lineage *l, struct generation *g);

/* A child of the master has ended that is no worker.  Returns whether it was one of ours;
 * is_expected: that it was killed is nothing odd. */
bool lineage_note_exit(struct lineage *l, pid_t pid, int status, bool is_expected);

/* Start helper processes that are missing, if it is time.  Returns when to look again. */
uint64_t lineage_tend_helpers(struct lineage *l);

/* Free all of them. */
void lineage_done(struct lineage *l);

#endif
