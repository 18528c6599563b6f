/* Fuzz target: what rules make of the operator's texts and the client's addresses.
 *
 * The input is lines: text of a reply, glob, address, delay, rate.  A glob must match as
 * a table of all its beginnings against all those of the address says.  A fault that an
 * address names must be one that exists, and must be named by what it is written as
 * again.  A text that is right must come out printable, and longer only at its end where
 * there is more room. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "policy/fault.h"
#include "policy/pattern.h"
#include "policy/rule.h"
#include "policy/rules.h"
#include "policy/rules_text.h"
#include "smtp/reply.h"

#define FIELDS    5
#define TABLE_MAX 512 /* lengths whose product the table has room for */

static void check_text(const char *text, struct str client)
{
	const struct rule_question q = {.client_text = STR("192.0.2.7"),
		.helo = client,
		.sender = client,
		.recipient = client};
	char some[256], more[4096];
	size_t n;

	rules_text_write(text, "rule", &q, "id", some, sizeof(some));
	rules_text_write(text, "rule", &q, "id", more, sizeof(more));
	n = strlen(some);
	assert(n < sizeof(some) && strlen(more) < sizeof(more));
	assert(memcmp(some, more, n) == 0);
	assert(n == sizeof(some) - 1 || more[n] == '\0');
	for (const char *p = more; *p != '\0'; p++)
		assert(str_is_printable(*p));
	if (rules_check_text(text) != NULL)
		return;
	assert(strlen(text) < sizeof(some));
	if (strchr(text, '%') == NULL)
		assert(strcmp(text, some) == 0);
}

static const char *action_name(enum rule_action action)
{
	switch (action) {
	case RULE_DISCONNECT:
		return "disconnect";
	case RULE_RESET:
		return "reset";
	case RULE_STALL:
		return "stall";
	case RULE_DROP:
		return "drop";
	case RULE_REPLY:
	case RULE_ACCEPT:
	case RULE_DELIVER:
		break;
	}
	abort();
}

static void check_fault(struct str address)
{
	char *copy = fuzz_exact_copy(address), name[128];
	struct fault f, again;
	int n;
	bool is_fault = fault_of_address((struct str){copy, address.n}, &f);

	free(copy);
	if (!is_fault)
		return;
	assert(f.delay_ms <= RULE_DELAY_MAX_MS);
	assert(f.code == 0 || (f.code >= 400 && f.code <= 599));
	assert(f.code == 0 || f.action == RULE_REPLY);
	assert(f.enhanced[0] == '\0' || reply_enhanced_fits(f.enhanced, f.code));
	n = snprintf(name, sizeof(name), "DELAY%ums", f.delay_ms);
	if (f.action != RULE_REPLY)
		n += snprintf(
			name + n, sizeof(name) - (size_t)n, "-%s", action_name(f.action));
	else if (f.code != 0)
		n += snprintf(name + n, sizeof(name) - (size_t)n, "-%d%s%s", f.code,
			f.enhanced[0] == '\0' ? "" : "-", f.enhanced);
	(void)snprintf(name + n, sizeof(name) - (size_t)n, "+x@example.test");
	assert(fault_of_address(str_of(name), &again));
	assert(again.delay_ms == f.delay_ms && again.action == f.action &&
		again.code == f.code && strcmp(again.enhanced, f.enhanced) == 0);
}

/* Of each beginning of the glob in turn, which beginnings of s it matches. */
static bool matches_by_table(struct str glob, struct str s)
{
	static bool row[TABLE_MAX + 1], next[TABLE_MAX + 1];

	memset(row, 0, sizeof(row));
	row[0] = true;
	for (size_t g = 0; g < glob.n; g++) {
		char c = glob.p[g];

		next[0] = c == '*' && row[0];
		for (size_t i = 0; i < s.n; i++)
			next[i + 1] =
				c == '*' ? row[i + 1] || next[i]
					 : row[i] && (c == '?' ||
							     str_lower(c) ==
								     str_lower(s.p[i]));
		memcpy(row, next, sizeof(row));
	}
	return row[s.n];
}

static void check_glob(const char *glob, struct str s)
{
	struct pattern *p = NULL;

	/* Regular expressions are the C library's. */
	if (*glob == '~' || strlen(glob) > TABLE_MAX || s.n > TABLE_MAX)
		return;
	assert(pattern_new(glob, &p) == NULL);
	assert(pattern_matches(p, s) == matches_by_table(str_of(glob), s));
	pattern_free(p);
}

static void check_times(const char *delay, const char *rate)
{
	struct rule_delay d = {0};
	uint64_t n, ms;

	if (rule_parse_delay(delay, &d) == NULL)
		assert(d.least_ms <= d.most_ms && d.most_ms <= RULE_DELAY_MAX_MS &&
			d.step_ms <= RULE_DELAY_MAX_MS);
	if (rule_parse_rate(rate, &n, &ms) == NULL)
		assert(ms > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct str in = {(const char *)p, n}, fields[FIELDS] = {{0}};
	char *texts[FIELDS];

	for (size_t i = 0; i < FIELDS; i++) {
		const char *end = in.n == 0 ? NULL : memchr(in.p, '\n', in.n);

		fields[i] = (struct str){in.p, end == NULL ? in.n : (size_t)(end - in.p)};
		in = str_skip(in, fields[i].n + (end != NULL));
		texts[i] = malloc(fields[i].n + 1);
		assert(texts[i] != NULL);
		(void)str_copy(texts[i], fields[i].n + 1, fields[i]);
	}
	check_text(texts[0], fields[2]);
	check_glob(texts[1], fields[2]);
	check_fault(fields[2]);
	check_times(texts[3], texts[4]);
	for (size_t i = 0; i < FIELDS; i++)
		free(texts[i]);
	return 0;
}
