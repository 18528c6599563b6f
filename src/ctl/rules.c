/* sinkctl rules; see show.h. */
#include "ctl/show.h"

#include <inttypes.h>

#include "ctl/out.h"

static void put_table(FILE *file, const struct control_snapshot *s)
{
	char name[OUT_TEXT_MAX], stage[OUT_TEXT_MAX];

	(void)fprintf(file, "%-32s %-10s %-12s %16s\n", "RULE", "STAGE", "STATE", "HITS");
	for (size_t i = 0; i < s->rule_count; i++) {
		const struct control_rule *r = &s->rules[i];

		out_printable(name, r->name);
		out_printable(stage, r->stage);
		(void)fprintf(file, "%-32s %-10s %-12s %16" PRIu64 "\n", name, stage,
			r->is_switched != 0
				? r->is_on != 0 ? "switched on" : "switched off"
			: r->is_on != 0 ? "on"
					: "off",
			r->hits);
	}
}

static void put_json(FILE *file, const struct control_snapshot *s)
{
	struct out_json j = {file, false};

	out_json_open(&j, NULL, '{');
	out_json_open(&j, "rules", '[');
	for (size_t i = 0; i < s->rule_count; i++) {
		const struct control_rule *r = &s->rules[i];

		out_json_open(&j, NULL, '{');
		out_json_text(&j, "name", r->name);
		out_json_text(&j, "stage", r->stage);
		out_json_bool(&j, "on", r->is_on != 0);
		out_json_bool(&j, "switched", r->is_switched != 0);
		out_json_number(&j, "hits", r->hits);
		out_json_close(&j, '}');
	}
	out_json_close(&j, ']');
	out_json_close(&j, '}');
	(void)fputc('\n', file);
}

void show_rules(FILE *file, enum show_format format, const struct control_snapshot *s)
{
	if (format == SHOW_JSON)
		put_json(file, s);
	else
		put_table(file, s);
}
