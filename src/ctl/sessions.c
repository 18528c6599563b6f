/* sinkctl sessions; see show.h.  What workers and their clients say is shown harmless. */
#include "ctl/show.h"

#include <inttypes.h>

#include "ctl/out.h"

static void put_row(FILE *file, const struct control_session *row)
{
	char state[OUT_TEXT_MAX], client[OUT_TEXT_MAX], helo[OUT_TEXT_MAX];
	char since[OUT_NUMBER_MAX];

	out_printable(state, row->state);
	out_printable(client, row->client);
	out_printable(helo, row->helo);
	(void)snprintf(since, sizeof(since), "%" PRIu64 ".%" PRIu64 "s",
		row->since_ms / 1000, row->since_ms / 100 % 10);
	(void)fprintf(file,
		"%6" PRIu32 " %8" PRId32 " %4" PRIu32 " %-9s %10s %-26s %5" PRIu32
		" %8" PRIu64 " %12" PRIu64 " %8" PRIu64 " %s\n",
		row->number, row->pid, row->generation, state,
		row->client[0] == '\0' ? "-" : since, client, row->port, row->messages,
		row->bytes, row->served, helo);
}

static void put_table(FILE *file, const struct control_snapshot *s)
{
	(void)fprintf(file, "%6s %8s %4s %-9s %10s %-26s %5s %8s %12s %8s %s\n", "WORKER",
		"PROCESS", "GEN", "STATE", "SINCE", "CLIENT", "PORT", "MESSAGES", "BYTES",
		"SERVED", "HELO");
	for (size_t i = 0; i < s->session_count; i++)
		put_row(file, &s->sessions[i]);
}

static void put_json(FILE *file, const struct control_snapshot *s)
{
	struct out_json j = {file, false};
	char text[OUT_NUMBER_MAX];

	out_json_open(&j, NULL, '{');
	out_json_open(&j, "sessions", '[');
	for (size_t i = 0; i < s->session_count; i++) {
		const struct control_session *row = &s->sessions[i];

		out_json_open(&j, NULL, '{');
		out_json_number(&j, "worker", row->number);
		(void)snprintf(text, sizeof(text), "%" PRId32, row->pid);
		out_json_literal(&j, "pid", text);
		out_json_number(&j, "generation", row->generation);
		out_json_text(&j, "state", row->state);
		out_json_text(&j, "client", row->client);
		out_json_number(&j, "port", row->port);
		out_json_text(&j, "helo", row->helo);
		out_seconds(text, row->since_ms);
		out_json_literal(&j, "seconds", text);
		out_json_number(&j, "messages", row->messages);
		out_json_number(&j, "bytes", row->bytes);
		out_json_number(&j, "served", row->served);
		out_json_close(&j, '}');
	}
	out_json_close(&j, ']');
	out_json_close(&j, '}');
	(void)fputc('\n', file);
}

void show_sessions(FILE *file, enum show_format format, const struct control_snapshot *s)
{
	if (format == SHOW_JSON)
		put_json(file, s);
	else
		put_table(file, s);
}
