/* sinkctl status; see show.h. */
#include "ctl/show.h"

#include <inttypes.h>
#include <string.h>

#include "base/date.h"
#include "ctl/out.h"

#define OFFSET(field) offsetof(struct control_status, field)
#define COUNT(field)  offsetof(struct slot_counts, field)

const char *const show_states[CONTROL_STATES] = {
	[CONTROL_STARTING] = "starting",
	[CONTROL_RUNNING] = "running",
	[CONTROL_RELOADING] = "reloading",
	[CONTROL_STOPPING] = "stopping",
	[CONTROL_DRAINING] = "draining",
};

/* A number, by its key in JSON and its words in the table. */
struct number {
	const char *key;
	const char *words;
	size_t offset;
};

static const struct number workers[] = {
	{"idle", "idle", OFFSET(idle)},
	{"busy", "busy", OFFSET(busy)},
	{"starting", "starting", OFFSET(starting)},
	{"retiring", "retiring", OFFSET(retiring)},
	{"old", "of old generations", OFFSET(old)},
};

static const struct number limits[] = {
	{"start", "start", OFFSET(limit_start)},
	{"min_spare", "min-spare", OFFSET(limit_min_spare)},
	{"max_spare", "max-spare", OFFSET(limit_max_spare)},
	{"max", "max", OFFSET(limit_max)},
};

static const struct number events[] = {
	{"births", "started", OFFSET(births)},
	{"deaths", "ended", OFFSET(deaths)},
	{"hung_kills", "killed because they hung", OFFSET(hung_kills)},
	{"max_hits", "not started because of max", OFFSET(max_hits)},
};

static const struct number clients[] = {
	{"waiting", "waiting", OFFSET(waiting)},
	{"refused", "refused because all workers were busy", OFFSET(refused_overflow)},
};

/* With a rate for each. */
static const struct number totals[] = {
	{"sessions", "sessions", COUNT(sessions)},
	{"messages_accepted", "messages accepted", COUNT(messages_accepted)},
	{"messages_refused", "messages refused", COUNT(messages_refused)},
	{"messages_aborted", "messages aborted", COUNT(messages_aborted)},
	{"bytes", "bytes accepted", COUNT(bytes)},
	{"timeouts", "timeouts", COUNT(timeouts)},
	{"tls_full", "full TLS handshakes", COUNT(handshakes[SLOT_HANDSHAKE_FULL])},
	{"tls_resumed", "TLS resumptions", COUNT(handshakes[SLOT_HANDSHAKE_RESUMED])},
	{"tls_failed", "TLS failures", COUNT(handshakes[SLOT_HANDSHAKE_FAILED])},
	{"logins_accepted", "logins accepted", COUNT(logins[SLOT_ACCEPTED])},
	{"logins_refused", "logins refused", COUNT(logins[SLOT_REFUSED])},
};

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static uint64_t number_at(const void *base, size_t offset)
{
	uint64_t value;

	memcpy(&value, (const char *)base + offset, sizeof(value));
	return value;
}

/* Per second since the configuration was loaded. */
static double rate_at(const struct control_status *status, size_t offset)
{
	uint64_t now = number_at(&status->totals, offset);
	uint64_t then = number_at(&status->at_reload, offset);

	if (status->since_reload_ms == 0 || now < then)
		return 0;
	return (double)(now - then) * 1000 / (double)status->since_reload_ms;
}

const char *show_state(const struct control_snapshot *s)
{
	uint32_t state = s->status->state;

	return state < CONTROL_STATES ? show_states[state] : "unknown";
}

/* -------------------------------------------------------------------- table */

static void put_date(FILE *file, const char *words, uint64_t unix_s, uint64_t ago_ms)
{
	/* Beyond the calendar nobody is helped by a date. */
	struct date d = date_of(unix_s > UINT32_MAX ? 0 : unix_s);
	uint64_t s = ago_ms / 1000;

	(void)fprintf(file, "%s %04u-%02u-%02u %02u:%02u:%02u UTC (", words, d.year,
		d.month, d.day, d.hour, d.minute, d.second);
	if (s >= 86400)
		(void)fprintf(file, "%" PRIu64 "d ", s / 86400);
	(void)fprintf(file, "%02u:%02u:%02u ago)\n", (unsigned)(s % 86400 / 3600),
		(unsigned)(s % 3600 / 60), (unsigned)(s % 60));
}

static void put_numbers(FILE *file, const char *title, const struct control_status *s,
	const struct number *numbers, size_t n)
{
	(void)fprintf(file, "%-9s", title);
	for (size_t i = 0; i < n; i++)
		(void)fprintf(file, "%s %" PRIu64 " %s", i == 0 ? "" : ",",
			number_at(s, numbers[i].offset), numbers[i].words);
	(void)fputc('\n', file);
}

static void put_listeners(FILE *file, const struct control_snapshot *s)
{
	char text[OUT_TEXT_MAX];

	/* One that ends has closed them. */
	if (s->listener_count == 0)
		return;
	(void)fprintf(file, "\n%-24s %-32s %8s\n", "LISTENER", "ADDRESS", "WAITING");
	for (size_t i = 0; i < s->listener_count; i++) {
		out_printable(text, s->listeners[i].name);
		(void)fprintf(file, "%-24s ", text);
		out_printable(text, s->listeners[i].address);
		(void)fprintf(
			file, "%-32s %8" PRIu64 "\n", text, s->listeners[i].waiting);
	}
}

/* From so many days before its end on a certificate is a matter of some urgency. */
#define EXPIRY_WARNING_DAYS 14

static bool is_expiring(
	const struct control_status *status, const struct control_certificate *c)
{
	return c->expires_s < status->now_s ||
	       c->expires_s - status->now_s < EXPIRY_WARNING_DAYS * UINT64_C(86400);
}

static void put_certificate(FILE *file, const struct control_status *status,
	const struct control_certificate *c)
{
	struct date d = date_of(c->expires_s > UINT32_MAX ? 0 : c->expires_s);
	uint64_t days = (c->expires_s - status->now_s) / 86400;
	char text[OUT_TEXT_MAX];

	out_printable(text, c->subject);
	(void)fprintf(file, "certificate %s", text);
	if (c->name[0] != '\0') {
		out_printable(text, c->name);
		(void)fprintf(file, ", for %s", text);
	}
	out_printable(text, c->file);
	(void)fprintf(file, ", %s%s\n",
		c->file[0] != '\0' ? "of " : "made by sinkd at its start",
		c->file[0] != '\0' ? text : "");
	(void)fprintf(file, "    expires %04u-%02u-%02u %02u:%02u UTC", d.year, d.month,
		d.day, d.hour, d.minute);
	if (c->expires_s < status->now_s)
		(void)fputs("  WARNING: it has expired", file);
	else if (is_expiring(status, c))
		(void)fprintf(file, "  WARNING: in %" PRIu64 " days", days);
	out_printable(text, c->fingerprint);
	(void)fprintf(file, "\n    SHA-256 %s\n", text);
}

static void put_certificates(FILE *file, const struct control_snapshot *s)
{
	if (s->certificate_count > 0)
		(void)fputc('\n', file);
	for (size_t i = 0; i < s->certificate_count; i++)
		put_certificate(file, s->status, &s->certificates[i]);
}

static void put_table(FILE *file, const struct control_snapshot *s)
{
	const struct control_status *status = s->status;
	char text[OUT_TEXT_MAX];

	out_printable(text, status->release);
	(void)fprintf(file, "sinkd %s ", text);
	out_printable(text, status->hostname);
	(void)fprintf(file, "at %s, process %" PRId32 ": %s\n", text, status->pid,
		show_state(s));
	put_date(file, "started  ", status->started_s, status->uptime_ms);
	out_printable(text, status->config_file);
	(void)fprintf(
		file, "config    %s, generation %" PRIu32 "\n", text, status->generation);
	put_date(file, "loaded   ", status->reloaded_s, status->since_reload_ms);
	(void)fputc('\n', file);
	put_numbers(file, "workers", status, workers, LENGTH(workers));
	put_numbers(file, "limits", status, limits, LENGTH(limits));
	put_numbers(file, "so far", status, events, LENGTH(events));
	put_numbers(file, "clients", status, clients, LENGTH(clients));
	if (status->is_stressed != 0)
		(void)fputs("stress    all workers are busy: timeouts.busy-command "
			    "applies\n",
			file);
	put_listeners(file, s);
	put_certificates(file, s);
	(void)fprintf(file, "\n%-20s %20s %20s\n", "TOTALS", "SINCE THE START",
		"PER SECOND SINCE LOAD");
	for (size_t i = 0; i < LENGTH(totals); i++)
		(void)fprintf(file, "%-20s %20" PRIu64 " %21.3f\n", totals[i].words,
			number_at(&status->totals, totals[i].offset),
			rate_at(status, totals[i].offset));
}

/* --------------------------------------------------------------------- JSON */

static void put_json_numbers(
	struct out_json *j, const void *base, const struct number *numbers, size_t n)
{
	for (size_t i = 0; i < n; i++)
		out_json_number(j, numbers[i].key, number_at(base, numbers[i].offset));
}

static void put_json_seconds(struct out_json *j, const char *key, uint64_t ms)
{
	char text[OUT_NUMBER_MAX];

	out_seconds(text, ms);
	out_json_literal(j, key, text);
}

static void put_json_rates(struct out_json *j, const struct control_status *status)
{
	char text[OUT_NUMBER_MAX];

	out_json_open(j, "rates", '{');
	for (size_t i = 0; i < LENGTH(totals); i++) {
		(void)snprintf(
			text, sizeof(text), "%.3f", rate_at(status, totals[i].offset));
		out_json_literal(j, totals[i].key, text);
	}
	out_json_close(j, '}');
}

static void put_json_listeners(struct out_json *j, const struct control_snapshot *s)
{
	out_json_open(j, "listeners", '[');
	for (size_t i = 0; i < s->listener_count; i++) {
		out_json_open(j, NULL, '{');
		out_json_text(j, "name", s->listeners[i].name);
		out_json_text(j, "address", s->listeners[i].address);
		out_json_number(j, "waiting", s->listeners[i].waiting);
		out_json_close(j, '}');
	}
	out_json_close(j, ']');
}

static void put_json_certificates(struct out_json *j, const struct control_snapshot *s)
{
	out_json_open(j, "certificates", '[');
	for (size_t i = 0; i < s->certificate_count; i++) {
		const struct control_certificate *c = &s->certificates[i];

		out_json_open(j, NULL, '{');
		out_json_text(j, "server_name", c->name);
		out_json_text(j, "subject", c->subject);
		out_json_text(j, "sha256", c->fingerprint);
		out_json_text(j, "file", c->file);
		out_json_number(j, "expires", c->expires_s);
		out_json_bool(j, "expiring", is_expiring(s->status, c));
		out_json_close(j, '}');
	}
	out_json_close(j, ']');
}

static void put_json(FILE *file, const struct control_snapshot *s)
{
	const struct control_status *status = s->status;
	struct out_json j = {file, false};
	char pid[OUT_NUMBER_MAX];

	(void)snprintf(pid, sizeof(pid), "%" PRId32, status->pid);
	out_json_open(&j, NULL, '{');
	out_json_text(&j, "release", status->release);
	out_json_text(&j, "state", show_state(s));
	out_json_literal(&j, "pid", pid);
	out_json_text(&j, "hostname", status->hostname);
	out_json_text(&j, "config", status->config_file);
	out_json_number(&j, "generation", status->generation);
	out_json_number(&j, "started", status->started_s);
	out_json_number(&j, "loaded", status->reloaded_s);
	put_json_seconds(&j, "uptime_seconds", status->uptime_ms);
	put_json_seconds(&j, "loaded_seconds", status->since_reload_ms);
	out_json_open(&j, "workers", '{');
	put_json_numbers(&j, status, workers, LENGTH(workers));
	put_json_numbers(&j, status, events, LENGTH(events));
	out_json_bool(&j, "stressed", status->is_stressed != 0);
	out_json_close(&j, '}');
	out_json_open(&j, "limits", '{');
	put_json_numbers(&j, status, limits, LENGTH(limits));
	out_json_close(&j, '}');
	out_json_open(&j, "clients", '{');
	put_json_numbers(&j, status, clients, LENGTH(clients));
	out_json_close(&j, '}');
	put_json_listeners(&j, s);
	put_json_certificates(&j, s);
	out_json_open(&j, "totals", '{');
	put_json_numbers(&j, &status->totals, totals, LENGTH(totals));
	out_json_close(&j, '}');
	put_json_rates(&j, status);
	out_json_close(&j, '}');
	(void)fputc('\n', file);
}

void show_status(FILE *file, enum show_format format, const struct control_snapshot *s)
{
	if (format == SHOW_JSON)
		put_json(file, s);
	else
		put_table(file, s);
}
