/* What the master knows; for master.c and change.c. */
#ifndef SINKD_PROC_MASTER_STATE_H
#define SINKD_PROC_MASTER_STATE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "proc/cleaner.h"
#include "proc/control.h"
#include "proc/crew.h"
#include "proc/keeper.h"
#include "proc/lineage.h"
#include "proc/master.h"
#include "proc/steer.h"
#include "proc/upgrade.h"

struct master {
	const struct master_options *options;
	struct crew crew;
	struct keeper keeper;
	struct lineage lineage;
	struct rulebook rulebook;
	struct cleaner cleaner;
	int signal_fd;
	struct upgrade upgrade;
	char runtime_dir[PATH_MAX]; /* "": we have none */
	int control_fd;             /* -1: sinkctl cannot reach us */
	struct steer_moment started, loaded;
	struct slot_counts at_reload; /* the totals when the configuration was loaded */
	int waiting_fd;               /* who waits for a daemon to be ready; -1: nobody */
	/* What was asked for, for when nothing else is under way. */
	bool is_reload_wanted;
	bool is_reopen_wanted;
	bool is_upgrade_wanted;
	char mistake[CONTROL_TEXT_MAX]; /* the first one of the file that was read last */
	bool is_stopping;
	bool is_handed_over; /* to the server that an upgrade has started */
	uint64_t kill_at_ms; /* while stopping; UINT64_MAX: not needed any more */
	int exit_status;
};

#endif
