/* What the master does when sinkctl asks; see steer.h.
 *
 * Runs in the master, maybe as root.  A request is a command and a number, checked
 * here; what workers say of themselves is copied or added and nothing else. */
#include "proc/steer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/log.h"
#include "config/conf.h"
#include "net/listener.h"
#include "proc/slots.h"

/* Answers at one look: signals and dying workers want to be seen to as well. */
#define ANSWERS_MAX 16

static const char *const command_names[CONTROL_COMMANDS] = {
	[CONTROL_SNAPSHOT] = "snapshot",
	[CONTROL_RELOAD] = "reload",
	[CONTROL_STOP] = "stop",
	[CONTROL_DRAIN] = "drain",
	[CONTROL_LOG_LEVEL] = "log-level",
	[CONTROL_VERBOSE] = "verbose",
	[CONTROL_RULE] = "rule",
};

/* ------------------------------------------------------------------ numbers */

struct steer_moment steer_now(void)
{
	return (struct steer_moment){clock_wall_us() / 1000000, clock_monotonic_ms()};
}

#define COPY_TEXT(field, text) (void)str_copy((field), sizeof(field), str_of(text))

static void fill_listener(const struct listener *l, struct control_listener *ret)
{
	COPY_TEXT(ret->name, l->settings->name);
	endpoint_format(&l->endpoint, ret->address);
	ret->waiting = listener_count_waiting(l);
}

static void fill_certificate(
	const struct keyring *k, size_t i, struct control_certificate *ret)
{
	struct certificate_info info;
	const char *name, *file;

	keyring_get(k, i, &info, &name, &file);
	COPY_TEXT(ret->name, name == NULL ? "" : name);
	COPY_TEXT(ret->file, file == NULL ? "" : file);
	COPY_TEXT(ret->subject, info.subject);
	COPY_TEXT(ret->fingerprint, info.fingerprint);
	ret->expires_s = info.not_after_s < 0 ? 0 : (uint64_t)info.not_after_s;
}

static void fill_session(
	const struct slot_report *report, uint32_t number, struct control_session *ret)
{
	uint64_t now_ms = clock_monotonic_ms();

	ret->number = number;
	ret->port = report->port;
	if (report->since_ms > 0 && report->since_ms < now_ms)
		ret->since_ms = now_ms - report->since_ms;
	ret->bytes = report->session_bytes;
	ret->messages = report->session_messages;
	ret->served = report->counts.sessions;
	COPY_TEXT(ret->state, report->state);
	COPY_TEXT(ret->client, report->client);
	COPY_TEXT(ret->helo, report->helo);
}

/* Rows for the workers there are; returns how many. */
static size_t fill_sessions(const struct crew *crew, struct control_session *rows)
{
	struct slot_report report;
	size_t n = 0;

	for (unsigned i = 0; i < crew->limit; i++) {
		const struct child *child = &crew->children[i];

		if (child->pid == 0)
			continue;
		slot_read(slots_get(crew->slots, i), &report);
		fill_session(&report, i + 1, &rows[n]);
		rows[n].pid = child->pid;
		rows[n].generation = child->generation->number;
		n++;
	}
	return n;
}

static void fill_rule(const struct steer_view *view, const struct rules_entry *entry,
	uint16_t number, struct control_rule *ret)
{
	bool is_on = entry->is_enabled;

	COPY_TEXT(ret->name, entry->rule.name);
	COPY_TEXT(ret->stage, rule_stage_name(entry->rule.stage));
	ret->hits = rulebook_count(view->rulebook, number);
	ret->is_switched = rulebook_is_switched(view->crew->board, number, &is_on);
	ret->is_on = is_on;
}

static void fill_workers(const struct steer_view *view, struct control_status *status)
{
	const struct generation *g = view->lineage->current;
	struct crew_counts counts = crew_count(view->crew, g);

	status->idle = counts.idle;
	status->busy = counts.busy;
	status->starting = counts.starting;
	status->retiring = generation_count_retiring(g);
	status->old = counts.others;
	if (view->lineage->candidate != NULL) {
		status->old -= view->lineage->candidate->alive;
		status->starting += view->lineage->candidate->alive;
	}
	status->is_stressed = view->keeper->is_stressed;
	status->max_hits = view->keeper->max_hits;
	status->births = view->crew->births;
	status->deaths = view->crew->deaths;
	status->hung_kills = view->crew->hung;
	status->refused_overflow = view->crew->refused;
	crew_total(view->crew, &status->totals);
	status->at_reload = *view->at_reload;
}

static void fill_config(const struct config *c, struct control_status *status)
{
	COPY_TEXT(status->release, PACKAGE_VERSION);
	COPY_TEXT(status->hostname, c->smtp.hostname);
	COPY_TEXT(status->config_file, c->file != NULL ? c->file : "built-in");
	status->limit_start = c->workers.start;
	status->limit_min_spare = c->workers.min_spare;
	status->limit_max_spare = c->workers.max_spare;
	status->limit_max = c->workers.max;
}

static void fill_times(const struct steer_view *view, struct control_status *status)
{
	uint64_t now_ms = clock_monotonic_ms();

	status->now_s = clock_wall_us() / 1000000;
	status->started_s = view->started.unix_s;
	status->reloaded_s = view->loaded.unix_s;
	status->uptime_ms = now_ms - view->started.monotonic_ms;
	status->since_reload_ms = now_ms - view->loaded.monotonic_ms;
}

/* Returns 0 and *ret_fd, or a negative errno. */
static int make_snapshot(const struct steer_view *view, int *ret_fd)
{
	const struct generation *g = view->lineage->current;
	struct control_status status = {
		.state = view->state, .pid = getpid(), .generation = g->number};
	struct control_snapshot parts = {.status = &status};
	struct control_listener *listeners =
		calloc(g->listener_count + 1, sizeof(*listeners));
	struct control_certificate *certificates =
		calloc(keyring_count(g->keyring) + 1, sizeof(*certificates));
	struct control_session *sessions =
		calloc(view->crew->limit + 1, sizeof(*sessions));
	struct control_rule *rules = calloc(g->config->rules.count + 1, sizeof(*rules));
	int r = -ENOMEM;

	if (listeners == NULL || certificates == NULL || sessions == NULL ||
		rules == NULL)
		goto out;
	fill_config(g->config, &status);
	fill_times(view, &status);
	fill_workers(view, &status);
	for (size_t i = 0; i < g->listener_count; i++) {
		fill_listener(&g->listeners[i], &listeners[i]);
		status.waiting += listeners[i].waiting;
	}
	parts.listeners = listeners;
	parts.listener_count = g->listener_count;
	parts.certificates = certificates;
	parts.certificate_count = keyring_count(g->keyring);
	for (size_t i = 0; i < parts.certificate_count; i++)
		fill_certificate(g->keyring, i, &certificates[i]);
	parts.sessions = sessions;
	parts.session_count = fill_sessions(view->crew, sessions);
	parts.rules = rules;
	parts.rule_count = g->config->rules.count;
	for (size_t i = 0; i < parts.rule_count; i++)
		fill_rule(view, &g->config->rules.entries[i], g->rule_numbers[i],
			&rules[i]);
	r = control_make_snapshot(&parts, ret_fd);
out:
	free(rules);
	free(listeners);
	free(certificates);
	free(sessions);
	return r;
}

/* ------------------------------------------------------------------- orders */

static bool is_argument_right(enum control_command command, int32_t argument)
{
	if (command == CONTROL_LOG_LEVEL)
		return argument >= LOG_DEBUG && argument <= LOG_ERROR;
	if (command == CONTROL_VERBOSE || command == CONTROL_RULE)
		return argument == 0 || argument == 1;
	return true;
}

static void answer_snapshot(
	const struct steer_view *view, const struct control_peer *peer)
{
	int snapshot = -1;
	int r = make_snapshot(view, &snapshot);

	control_reply(
		peer, -r, r == 0 ? "" : "the numbers cannot be collected", snapshot);
	(void)fdio_close(&snapshot);
}

static void answer_order(const struct steer_view *view,
	const struct control_request *request, const struct control_peer *peer)
{
	enum control_command command = (enum control_command)request->command;
	const char *text = "no such argument";
	int status = EINVAL;

	if (is_argument_right(command, request->argument))
		status = view->act(view->user, request, &text);
	log_event(LOG_INFO, EV_CONTROL_REQUEST,
		LOG_TEXT("command", command_names[command]),
		LOG_NUM("client_pid", peer->pid), LOG_NUM("uid", peer->uid),
		LOG_TEXT("answer", text),
		command == CONTROL_RULE ? LOG_TEXT("rule", request->name)
					: (struct log_field){0});
	control_reply(peer, status, text, -1);
}

void steer_open(const char *runtime, bool is_successor, int *ret_fd)
{
	const char *name = is_successor ? CONTROL_NEXT_NAME : CONTROL_NAME;
	int r;

	if (runtime[0] == '\0')
		return;
	r = control_open(runtime, name, ret_fd);
	if (r == 0 && is_successor && (r = control_take_place(runtime)) < 0)
		control_close(ret_fd, runtime, CONTROL_NEXT_NAME);
	if (r < 0)
		log_event(LOG_WARN, EV_CONTROL_FAILED, LOG_TEXT("step", "open"),
			LOG_TEXT("path", runtime), LOG_ERRNO(r),
			LOG_TEXT("advice", "sinkctl cannot reach this server; give it a "
					   "runtime-dir of its own"));
}

/* A worker that was taken over may know our user's way to the socket. */
static bool is_own_worker(const struct steer_view *view, const struct control_peer *peer)
{
	/* Who is in another namespace has no pid here. */
	for (unsigned i = 0; i < view->crew->limit && peer->pid > 0; i++)
		if (view->crew->children[i].pid == peer->pid)
			return true;
	return false;
}

void steer_hear(int control_fd, const struct steer_view *view)
{
	struct control_request request = {0};
	struct control_peer peer = {0};

	if (control_fd < 0)
		return;
	for (int i = 0; i < ANSWERS_MAX; i++) {
		int r = control_receive(control_fd, geteuid(), &request, &peer);

		if (r == 0)
			return;
		if (r < 0)
			continue;
		if (is_own_worker(view, &peer)) {
			log_event(LOG_WARN, EV_CONTROL_REFUSED,
				LOG_NUM("client_pid", peer.pid), LOG_NUM("uid", peer.uid),
				LOG_ERRNO(EPERM));
			control_reply(&peer, EPERM, "permission denied", -1);
			continue;
		}
		if (request.command == CONTROL_SNAPSHOT) {
			answer_snapshot(view, &peer);
			continue;
		}
		answer_order(view, &request, &peer);
		/* What has been done makes the view old. */
		return;
	}
}
