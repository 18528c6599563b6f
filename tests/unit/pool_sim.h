/* A server made of numbers, to run proc/pool against: workers that are born, serve
 * clients in the order they came and leave, and a master that looks when the pool
 * told it to or a worker wakes it. */
#ifndef SINKD_TESTS_POOL_SIM_H
#define SINKD_TESTS_POOL_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proc/pool.h"

#define SIM_WORKERS 1024
#define SIM_CLIENTS 16384

/* A client that never says a word. */
#define SIM_SILENT UINT32_MAX

enum sim_state { SIM_NONE, SIM_STARTING, SIM_IDLE, SIM_BUSY };

struct sim_worker {
	enum sim_state state;
	uint64_t since_ms;
	uint32_t hold_ms; /* how long its client stays */
};

struct sim {
	struct pool pool;
	struct pool_limits limits;
	struct pool_decision last;
	struct sim_worker workers[SIM_WORKERS];
	uint32_t clients[SIM_CLIENTS]; /* how long each stays, in the order they come */
	size_t came, served;
	uint64_t now_ms;
	uint64_t served_ms; /* when the last client was taken on */
	bool is_woken;
	/* What happened, for the test to judge and to set back. */
	unsigned looks, births, retired, reports, stresses;
};

/* So many clients come now. */
void sim_come(struct sim *s, unsigned n, uint32_t hold_ms);

/* Let time pass. */
void sim_run(struct sim *s, uint64_t ms);

unsigned sim_count(const struct sim *s, enum sim_state state);

#endif
