/* sinkctl metrics; see show.h.
 *
 * One table of families, and three ways to write a sample.  The text form is
 * OpenMetrics 1.0 (openmetrics.io), which Prometheus reads. */
#include "ctl/show.h"

#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "ctl/out.h"
#include "smtp/session.h"

#define SAMPLE_MAX 8192

struct label {
	const char *name;
	const char *value;
};

struct family;

struct writer {
	FILE *file;
	enum show_format format;
	struct out_json json;
	const struct family *family;
	const struct control_snapshot *snapshot;
};

/* What is counted or measured.  Without a function it is the number at offset. */
struct family {
	const char *name;
	const char *type;
	const char *unit; /* empty: none; else the name ends in it */
	const char *help;
	void (*write)(struct writer *w);
	size_t offset;
};

/* ------------------------------------------------------------------ samples */

/* A label value.  What is printable has its backslashes and quotes as the format wants
 * them; but that knows no "\x". */
static void add_label_value(struct buf *b, const char *value)
{
	char text[OUT_TEXT_MAX];

	(void)str_printable(text, sizeof(text), str_of(value));
	for (const char *p = text; *p != '\0'; p++) {
		if (*p == '\\' && p[1] == 'x')
			(void)buf_add(b, "\\", 1);
		else if (*p == '\\')
			(void)buf_add(b, p++, 1);
		(void)buf_add(b, p, 1);
	}
}

static void put_text_sample(struct writer *w, const char *suffix,
	const struct label *labels, size_t n, const char *value)
{
	struct buf b;

	buf_init(&b, SAMPLE_MAX);
	(void)buf_add_format(&b, "%s%s", w->family->name, suffix);
	for (size_t i = 0; i < n; i++) {
		(void)buf_add_format(&b, "%s%s=\"", i == 0 ? "{" : ",", labels[i].name);
		add_label_value(&b, labels[i].value);
		(void)buf_add(&b, "\"", 1);
	}
	if (n > 0)
		(void)buf_add(&b, "}", 1);
	if (w->format == SHOW_TABLE)
		(void)fprintf(w->file, "%-56.*s %16s\n", STR_ARG(buf_str(&b)), value);
	else
		(void)fprintf(w->file, "%.*s %s\n", STR_ARG(buf_str(&b)), value);
	buf_done(&b);
}

static void put_json_sample(struct writer *w, const char *suffix,
	const struct label *labels, size_t n, const char *value)
{
	char name[64];

	(void)snprintf(name, sizeof(name), "%s%s", w->family->name, suffix);
	out_json_open(&w->json, NULL, '{');
	out_json_text(&w->json, "name", name);
	out_json_open(&w->json, "labels", '{');
	for (size_t i = 0; i < n; i++)
		out_json_text(&w->json, labels[i].name, labels[i].value);
	out_json_close(&w->json, '}');
	out_json_literal(&w->json, "value", value);
	out_json_close(&w->json, '}');
}

static void put_sample(struct writer *w, const char *suffix, const struct label *labels,
	size_t n, const char *value)
{
	if (w->format == SHOW_JSON)
		put_json_sample(w, suffix, labels, n, value);
	else
		put_text_sample(w, suffix, labels, n, value);
}

/* A number, with the suffix that its type asks for. */
static void put_number(
	struct writer *w, const struct label *labels, size_t n, uint64_t number)
{
	bool is_counter = strcmp(w->family->type, "counter") == 0;
	char text[OUT_NUMBER_MAX];

	(void)snprintf(text, sizeof(text), "%" PRIu64, number);
	put_sample(w, is_counter ? "_total" : "", labels, n, text);
}

/* ------------------------------------------------------------ single families */

static void write_build(struct writer *w)
{
	const struct control_status *s = w->snapshot->status;
	const struct label labels[] = {
		{"version", s->release}, {"hostname", s->hostname}};

	put_sample(w, "_info", labels, 2, "1");
}

static void write_state(struct writer *w)
{
	for (uint32_t i = 0; i < CONTROL_STATES; i++) {
		const struct label label = {"sinkd_state", show_states[i]};

		put_number(w, &label, 1, w->snapshot->status->state == i);
	}
}

static void write_uptime(struct writer *w)
{
	char text[OUT_NUMBER_MAX];

	out_seconds(text, w->snapshot->status->uptime_ms);
	put_sample(w, "", NULL, 0, text);
}

static void write_generation(struct writer *w)
{
	put_number(w, NULL, 0, w->snapshot->status->generation);
}

static void write_stressed(struct writer *w)
{
	put_number(w, NULL, 0, w->snapshot->status->is_stressed != 0);
}

struct label_number {
	const char *value;
	uint64_t number;
};

/* Numbers that differ in one label. */
static void write_by(
	struct writer *w, const char *name, const struct label_number *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct label label = {name, rows[i].value};

		put_number(w, &label, 1, rows[i].number);
	}
}

static void write_workers(struct writer *w)
{
	const struct control_status *s = w->snapshot->status;
	const struct label_number rows[] = {{"idle", s->idle}, {"busy", s->busy},
		{"starting", s->starting}, {"retiring", s->retiring}, {"old", s->old}};

	write_by(w, "state", rows, sizeof(rows) / sizeof(rows[0]));
}

static void write_limits(struct writer *w)
{
	const struct control_status *s = w->snapshot->status;
	const struct label_number rows[] = {{"start", s->limit_start},
		{"min-spare", s->limit_min_spare}, {"max-spare", s->limit_max_spare},
		{"max", s->limit_max}};

	write_by(w, "limit", rows, sizeof(rows) / sizeof(rows[0]));
}

static void write_messages(struct writer *w)
{
	const struct slot_counts *c = &w->snapshot->status->totals;
	const struct label_number rows[] = {{"accepted", c->messages_accepted},
		{"refused", c->messages_refused}, {"aborted", c->messages_aborted}};

	write_by(w, "result", rows, sizeof(rows) / sizeof(rows[0]));
}

static void write_handshakes(struct writer *w)
{
	const uint64_t *n = w->snapshot->status->totals.handshakes;
	const struct label_number rows[] = {{"full", n[SLOT_HANDSHAKE_FULL]},
		{"resumed", n[SLOT_HANDSHAKE_RESUMED]},
		{"failed", n[SLOT_HANDSHAKE_FAILED]}};

	write_by(w, "result", rows, sizeof(rows) / sizeof(rows[0]));
}

static void write_logins(struct writer *w)
{
	const uint64_t *n = w->snapshot->status->totals.logins;
	const struct label_number rows[] = {
		{"accepted", n[SLOT_ACCEPTED]}, {"refused", n[SLOT_REFUSED]}};

	write_by(w, "result", rows, sizeof(rows) / sizeof(rows[0]));
}

static void write_certificates(struct writer *w)
{
	for (size_t i = 0; i < w->snapshot->certificate_count; i++) {
		const struct control_certificate *c = &w->snapshot->certificates[i];
		const struct label labels[] = {{"subject", c->subject},
			{"fingerprint", c->fingerprint}, {"server_name", c->name}};

		put_number(w, labels, 3, c->expires_s);
	}
}

static void write_listeners(struct writer *w)
{
	for (size_t i = 0; i < w->snapshot->listener_count; i++) {
		const struct control_listener *l = &w->snapshot->listeners[i];
		const struct label labels[] = {
			{"listener", l->name}, {"address", l->address}};

		put_number(w, labels, 2, l->waiting);
	}
}

static void write_rules(struct writer *w)
{
	for (size_t i = 0; i < w->snapshot->rule_count; i++) {
		const struct label label = {"rule", w->snapshot->rules[i].name};

		put_number(w, &label, 1, w->snapshot->rules[i].hits);
	}
}

static void write_commands(struct writer *w)
{
	static const char *const verbs[VERBS] = {
#define VERB_NAME(name) [VERB_##name] = #name,
		SMTP_VERBS(VERB_NAME)
#undef VERB_NAME
	};
	static const char *const results[SLOT_ANSWERS] = {
		[SLOT_ACCEPTED] = "accepted", [SLOT_REFUSED] = "refused"};
	const struct slot_counts *c = &w->snapshot->status->totals;

	for (size_t verb = 0; verb < VERBS; verb++)
		for (size_t result = 0; result < SLOT_ANSWERS; result++) {
			const struct label labels[] = {
				{"verb", verbs[verb]}, {"result", results[result]}};

			put_number(w, labels, 2, c->verbs[verb][result]);
		}
}

/* Microseconds as seconds. */
static void format_us(char out[OUT_NUMBER_MAX], uint64_t us)
{
	(void)snprintf(out, OUT_NUMBER_MAX, "%" PRIu64 ".%06" PRIu64, us / 1000000,
		us % 1000000);
}

/* Buckets say how many took at most so long; ours, how many took between two limits.
 * The last one has no upper limit. */
static void write_delivery(struct writer *w)
{
	const struct slot_counts *c = &w->snapshot->status->totals;
	uint64_t sum = 0;
	char number[OUT_NUMBER_MAX], limit[OUT_NUMBER_MAX] = "+Inf";
	const struct label label = {"le", limit};

	for (unsigned i = 0; i < SLOT_DURATIONS; i++) {
		sum += c->deliveries[i];
		if (i + 1 < SLOT_DURATIONS)
			format_us(limit, UINT64_C(1) << i);
		else
			(void)snprintf(limit, sizeof(limit), "+Inf");
		(void)snprintf(number, sizeof(number), "%" PRIu64, sum);
		put_sample(w, "_bucket", &label, 1, number);
	}
	format_us(limit, c->delivery_us);
	put_sample(w, "_sum", NULL, 0, limit);
	put_sample(w, "_count", NULL, 0, number);
}

/* ----------------------------------------------------------------- families */

#define AT(field) NULL, offsetof(struct control_status, field)

static const struct family families[] = {
	{"sinkd_build", "info", "", "The server", write_build, 0},
	{"sinkd_state", "stateset", "", "What it is doing", write_state, 0},
	{"sinkd_start_time_seconds", "gauge", "seconds", "Start, since 1970",
		AT(started_s)},
	{"sinkd_load_time_seconds", "gauge", "seconds",
		"Load of the configuration, since 1970", AT(reloaded_s)},
	{"sinkd_uptime_seconds", "gauge", "seconds", "Time since the start", write_uptime,
		0},
	{"sinkd_generation", "gauge", "", "Number of the configuration", write_generation,
		0},
	{"sinkd_workers", "gauge", "", "Workers", write_workers, 0},
	{"sinkd_workers_limit", "gauge", "", "Options of the section workers",
		write_limits, 0},
	{"sinkd_workers_stressed", "gauge", "", "Whether all workers are busy",
		write_stressed, 0},
	{"sinkd_workers_max_hits", "counter", "",
		"Times that workers.max kept a worker from being started", AT(max_hits)},
	{"sinkd_worker_births", "counter", "", "Workers started", AT(births)},
	{"sinkd_worker_deaths", "counter", "", "Workers that have ended", AT(deaths)},
	{"sinkd_worker_hung_kills", "counter", "", "Workers killed because they hung",
		AT(hung_kills)},
	{"sinkd_clients_waiting", "gauge", "", "Clients that no worker has accepted yet",
		write_listeners, 0},
	{"sinkd_clients_refused", "counter", "",
		"Clients refused because all workers were busy", AT(refused_overflow)},
	{"sinkd_sessions", "counter", "", "Sessions begun", AT(totals.sessions)},
	{"sinkd_session_timeouts", "counter", "", "Sessions that took too long",
		AT(totals.timeouts)},
	{"sinkd_certificate_expiry_seconds", "gauge", "seconds",
		"End of the validity of a certificate, since 1970", write_certificates,
		0},
	{"sinkd_tls_handshakes", "counter", "", "TLS handshakes", write_handshakes, 0},
	{"sinkd_logins", "counter", "", "Exchanges of AUTH that came to an end",
		write_logins, 0},
	{"sinkd_commands", "counter", "", "Commands answered", write_commands, 0},
	{"sinkd_rule_hits", "counter", "", "Times that a rule has fired", write_rules, 0},
	{"sinkd_messages", "counter", "", "Messages", write_messages, 0},
	{"sinkd_message_bytes", "counter", "bytes", "Octets of messages accepted",
		AT(totals.bytes)},
	{"sinkd_delivery_seconds", "histogram", "seconds", "Time to store a message",
		write_delivery, 0},
};

static void begin_family(struct writer *w, const struct family *f)
{
	w->family = f;
	if (w->format == SHOW_PROMETHEUS) {
		(void)fprintf(w->file, "# TYPE %s %s\n", f->name, f->type);
		if (f->unit[0] != '\0')
			(void)fprintf(w->file, "# UNIT %s %s\n", f->name, f->unit);
		(void)fprintf(w->file, "# HELP %s %s.\n", f->name, f->help);
	}
	if (w->format == SHOW_JSON) {
		out_json_open(&w->json, NULL, '{');
		out_json_text(&w->json, "name", f->name);
		out_json_text(&w->json, "type", f->type);
		out_json_text(&w->json, "unit", f->unit);
		out_json_text(&w->json, "help", f->help);
		out_json_open(&w->json, "samples", '[');
	}
}

static void end_family(struct writer *w)
{
	if (w->format != SHOW_JSON)
		return;
	out_json_close(&w->json, ']');
	out_json_close(&w->json, '}');
}

static uint64_t number_at(const struct control_status *s, size_t offset)
{
	uint64_t value;

	memcpy(&value, (const char *)s + offset, sizeof(value));
	return value;
}

void show_metrics(FILE *file, enum show_format format, const struct control_snapshot *s)
{
	struct writer w = {
		.file = file, .format = format, .json = {file, false}, .snapshot = s};

	if (format == SHOW_JSON) {
		out_json_open(&w.json, NULL, '{');
		out_json_open(&w.json, "metrics", '[');
	}
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		begin_family(&w, &families[i]);
		if (families[i].write != NULL)
			families[i].write(&w);
		else
			put_number(&w, NULL, 0, number_at(s->status, families[i].offset));
		end_family(&w);
	}
	if (format == SHOW_JSON) {
		out_json_close(&w.json, ']');
		out_json_close(&w.json, '}');
		(void)fputc('\n', file);
	}
	if (format == SHOW_PROMETHEUS)
		(void)fputs("# EOF\n", file);
}
