/* A policy service that another process plays, and the engine that asks it.
 *
 * A test goes service_set_up, changes to the scene, service_start, rig_say to its rig,
 * service_tear_down. */
#ifndef SINKD_TESTS_SERVICE_FIXTURE_H
#define SINKD_TESTS_SERVICE_FIXTURE_H

#include <stdbool.h>
#include <sys/types.h>

#include "policy/service.h"
#include "rig.h"

#define PATIENCE_MS 10000
#define SHORT_MS    50

/* What the service does when it is asked; anything else is sent as it is. */
#define SILENT "silent" /* until the other end closes */
#define CLOSE  "close"
#define LATE   "late" /* OK, and when it is told to go on an answer nobody asked for */

#define CONNECTIONS_MAX 16

/* The first row for the state that it is asked in, or with an attribute of the request,
 * is what it says; else OK. */
struct answer {
	const char *state, *text;
};

struct scene {
	struct rig rig;
	struct service *service;
	struct service_settings settings;
	struct service_env env;
	const struct answer *answers; /* up to one without a state */
	unsigned answers_max;         /* then it closes the connection; 0: it does not */
	int connect_error;
	int log_fd; /* all that it was asked */
	int go[2];  /* a pipe on which it is told to go on */
	int fd;     /* the last connection; of the service under test */
	pid_t pids[CONNECTIONS_MAX];
	unsigned connections;
	bool is_waiting; /* by its own account, and how often it has */
	unsigned waits;
	unsigned failures;
	char why[128];
	char ignored[128];
	int action;          /* of the last verdict that had one */
	char prepended[256]; /* as it is at DATA */
};

/* The engine asks at all stages. */
void service_set_up(struct scene *c);
/* Begin a session, the first or a further one. */
void service_start(struct scene *c);
/* Also checks that the other process has nothing to complain about. */
void service_tear_down(struct scene *c);

/* Whether the client was told this. */
bool service_says(const struct scene *c, const char *text);

/* The values of an attribute in the order of the requests, a blank behind each. */
void service_values(const struct scene *c, const char *name, char *out, size_t size);
void service_check_values(const struct scene *c, const char *name, const char *expected);

#endif
