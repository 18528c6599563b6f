/* Unit tests of room ctl: snapshots that are right, cut and full of lies, and what is
 * shown of them. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "base/str.h"
#include "ctl/show.h"
#include "ctl/snapshot.h"
#include "json.h"
#include "unit.h"

#define LISTENERS    2
#define CERTIFICATES 3
#define SESSIONS     3
#define RULES        4
#define NOW_S        1795436048

/* As control_make_snapshot writes it. */
struct image {
	struct control_status status;
	struct control_listener listeners[LISTENERS];
	struct control_certificate certificates[CERTIFICATES];
	struct control_session sessions[SESSIONS];
	struct control_rule rules[RULES];
};

static const struct control_certificate certificates[CERTIFICATES] = {
	{.subject = "CN=mx.example.test",
		.fingerprint = "AA:BB",
		.expires_s = NOW_S + 100 * 86400},
	{.name = "other.example.test",
		.subject = "CN=other",
		.fingerprint = "CC:DD",
		.file = "/etc/sinkd/other.pem",
		.expires_s = NOW_S + 13 * 86400},
	{.subject = "CN=old", .expires_s = NOW_S - 1}};

static struct image sample(void)
{
	struct image m = {
		.status = {.magic = CONTROL_MAGIC,
			.version = CONTROL_VERSION,
			.status_bytes = sizeof(m.status),
			.listener_bytes = sizeof(m.listeners[0]),
			.certificate_bytes = sizeof(m.certificates[0]),
			.session_bytes = sizeof(m.sessions[0]),
			.rule_bytes = sizeof(m.rules[0]),
			.listener_count = LISTENERS,
			.certificate_count = CERTIFICATES,
			.session_count = SESSIONS,
			.rule_count = RULES,
			.state = CONTROL_RUNNING,
			.pid = 4711,
			.generation = 3,
			.release = "1.2.3",
			.hostname = "mx.example.test",
			.config_file = "/etc/sinkd/sinkd.conf",
			.now_s = NOW_S,
			.started_s = 1795342264,
			.reloaded_s = 1795342274,
			.uptime_ms = 93784005,
			.since_reload_ms = 4000,
			.idle = 5,
			.busy = 17,
			.limit_max = 256,
			.totals = {.sessions = 110,
				.messages_accepted = 12,
				.bytes = 1000,
				.handshakes = {20, 30, 1},
				.logins = {6, 4},
				.verbs = {[VERB_MAIL] = {7, 8}},
				.deliveries = {[0] = 1, [10] = 2, [31] = 4},
				.delivery_us = 1234567},
			.at_reload = {.sessions = 100}},
		.listeners = {{"mx", "0.0.0.0:25", 31}, {"local", "unix:/run/x", 0}},
		.sessions = {{.number = 1,
				     .pid = 5001,
				     .generation = 3,
				     .port = 40000,
				     .since_ms = 1500,
				     .bytes = 2048,
				     .messages = 2,
				     .served = 9,
				     .state = "data",
				     .client = "192.0.2.7",
				     .helo = "client.example"},
			{.number = 2, .pid = 5002, .generation = 3, .state = "idle"},
			{.number = 3, .pid = 5003, .generation = 2, .state = "command"}},
		.rules = {{"full", "rcpt", 17, 1, 0}, {"tarpit", "helo", 0, 0, 0},
			{"grey", "rcpt", 3, 1, 1}, {"down", "connect", 4, 0, 1}},
	};

	memcpy(m.certificates, certificates, sizeof(m.certificates));
	return m;
}

typedef void (*show_fn)(
	FILE *file, enum show_format format, const struct control_snapshot *s);

static const struct form {
	const char *name;
	show_fn show;
	enum show_format format;
} forms[] = {
	{"status", show_status, SHOW_TABLE},
	{"status as JSON", show_status, SHOW_JSON},
	{"sessions", show_sessions, SHOW_TABLE},
	{"sessions as JSON", show_sessions, SHOW_JSON},
	{"rules", show_rules, SHOW_TABLE},
	{"rules as JSON", show_rules, SHOW_JSON},
	{"metrics", show_metrics, SHOW_PROMETHEUS},
	{"metrics as JSON", show_metrics, SHOW_JSON},
	{"metrics as a table", show_metrics, SHOW_TABLE},
};

/* The text is the caller's to free. */
static char *shown(const struct form *form, const struct control_snapshot *s)
{
	char *text = NULL;
	size_t n = 0;
	FILE *file = open_memstream(&text, &n);

	CU_ASSERT_FATAL(file != NULL);
	form->show(file, form->format, s);
	CU_ASSERT_FATAL(fclose(file) == 0);
	return text;
}

/* Whatever the snapshot holds: lines of printable text, and JSON that is JSON. */
static void check_forms(const struct control_snapshot *s)
{
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		char *text = shown(&forms[i], s);
		bool is_printable = true;

		for (const char *p = text; *p != '\0'; p++)
			if (!str_is_printable(*p) && *p != '\n')
				is_printable = false;
		CHECK(forms[i].name, is_printable);
		if (forms[i].format == SHOW_JSON)
			CHECK(forms[i].name, json_is_valid(str_of(text)));
		free(text);
	}
}

/* A copy that ends where the memory does, for checkers of memory. */
static int parse_copy(
	const void *p, size_t n, void **ret_copy, struct control_snapshot *ret)
{
	*ret_copy = malloc(n + (n == 0));
	CU_ASSERT_FATAL(*ret_copy != NULL);
	memcpy(*ret_copy, p, n);
	return snapshot_parse(*ret_copy, n, ret);
}

static void test_parse(void)
{
	struct image m = sample();
	struct control_snapshot s;
	void *copy;

	CHECK("whole", parse_copy(&m, sizeof(m), &copy, &s) == 0);
	CHECK("counts", s.listener_count == LISTENERS && s.session_count == SESSIONS &&
				s.rule_count == RULES);
	CHECK_STR("a row", str_of(s.sessions[0].client), STR("192.0.2.7"));
	check_forms(&s);
	free(copy);
	for (size_t n = 0; n < sizeof(m); n++) {
		CHECK("cut", parse_copy(&m, n, &copy, &s) < 0);
		free(copy);
	}
}

static void test_lies(void)
{
	static const struct {
		const char *name;
		size_t offset;
		uint32_t value;
		int expected;
	} cases[] = {
		{"magic", offsetof(struct control_status, magic), 0, -EBADMSG},
		{"version", offsetof(struct control_status, version), CONTROL_VERSION + 1,
			-EPROTONOSUPPORT},
		{"a longer head", offsetof(struct control_status, status_bytes), 5000,
			-EPROTONOSUPPORT},
		{"longer listeners", offsetof(struct control_status, listener_bytes), 0,
			-EPROTONOSUPPORT},
		{"longer certificates",
			offsetof(struct control_status, certificate_bytes), 1,
			-EPROTONOSUPPORT},
		{"most certificates", offsetof(struct control_status, certificate_count),
			UINT32_MAX, -EBADMSG},
		{"longer sessions", offsetof(struct control_status, session_bytes),
			UINT32_MAX, -EPROTONOSUPPORT},
		{"longer rules", offsetof(struct control_status, rule_bytes),
			sizeof(struct control_rule) + 8, -EPROTONOSUPPORT},
		{"more rules", offsetof(struct control_status, rule_count), RULES + 1,
			-EBADMSG},
		{"most rules", offsetof(struct control_status, rule_count), UINT32_MAX,
			-EBADMSG},
		{"more listeners", offsetof(struct control_status, listener_count),
			LISTENERS + 1, -EBADMSG},
		{"most listeners", offsetof(struct control_status, listener_count),
			UINT32_MAX, -EBADMSG},
		{"most sessions", offsetof(struct control_status, session_count),
			UINT32_MAX, -EBADMSG},
		{"fewer sessions", offsetof(struct control_status, session_count), 0,
			-EBADMSG},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct image m = sample();
		struct control_snapshot s;
		void *copy;

		memcpy((char *)&m + cases[i].offset, &cases[i].value, sizeof(uint32_t));
		CHECK(cases[i].name,
			parse_copy(&m, sizeof(m), &copy, &s) == cases[i].expected);
		free(copy);
	}
}

/* Always the same, so that what fails once can be found. */
static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

static void test_random_bytes(void)
{
	uint32_t state = 1;
	unsigned parsed = 0;

	for (int round = 0; round < 300; round++) {
		struct image m = sample();
		struct control_snapshot s;
		void *copy;

		/* Behind the counts, most of the time: nearly all else is refused. */
		for (int i = 0; i < 400; i++) {
			size_t first = round % 4 == 0
					       ? 0
					       : offsetof(struct control_status, state);
			size_t at = first + next_random(&state) % (sizeof(m) - first);

			((char *)&m)[at] = (char)next_random(&state);
		}
		if (parse_copy(&m, sizeof(m), &copy, &s) == 0) {
			check_forms(&s);
			parsed++;
		}
		free(copy);
	}
	CHECK("most rounds had something to show", parsed > 200);
}

/* Text fields without an end, of bytes that a terminal obeys. */
static void test_escapes(void)
{
	struct image m = sample();
	struct control_snapshot s;

	memset(m.status.release, 0x1b, sizeof(m.status.release));
	memset(m.status.hostname, '"', sizeof(m.status.hostname));
	memset(m.status.config_file, 0xff, sizeof(m.status.config_file));
	memset(m.listeners[0].name, '\\', sizeof(m.listeners[0].name));
	memset(m.listeners[0].address, '\n', sizeof(m.listeners[0].address));
	memset(m.certificates[0].name, '"', sizeof(m.certificates[0].name));
	memset(m.certificates[1].subject, 0x1b, sizeof(m.certificates[1].subject));
	memset(m.certificates[2].file, '\n', sizeof(m.certificates[2].file));
	memset(m.sessions[0].helo, 0x9b, sizeof(m.sessions[0].helo));
	memset(m.sessions[0].client, '\r', sizeof(m.sessions[0].client));
	memset(m.sessions[0].state, '\a', sizeof(m.sessions[0].state));
	memset(m.rules[0].name, '"', sizeof(m.rules[0].name));
	memset(m.rules[1].stage, 0x1b, sizeof(m.rules[1].stage));
	CU_ASSERT_FATAL(snapshot_parse(&m, sizeof(m), &s) == 0);
	check_forms(&s);
}

static void check_contains(const struct form *form, const struct control_snapshot *s,
	const char *const *expected, size_t n)
{
	char *text = shown(form, s);

	for (size_t i = 0; i < n; i++)
		if (!CHECK(expected[i], strstr(text, expected[i]) != NULL))
			(void)printf("in %s:\n%s", form->name, text);
	free(text);
}

#define CONTAINS(form, s, ...)                                                           \
	check_contains(form, s, (const char *const[]){__VA_ARGS__},                      \
		sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static const struct form *form_of(const char *name)
{
	const struct form *form = forms;

	while (strcmp(form->name, name) != 0)
		form++;
	return form;
}

static void test_status(void)
{
	struct image m = sample();
	struct control_snapshot s;

	CU_ASSERT_FATAL(snapshot_parse(&m, sizeof(m), &s) == 0);
	CONTAINS(&forms[0], &s, "sinkd 1.2.3 at mx.example.test, process 4711: running\n",
		"started   2026-11-22 10:11:04 UTC (1d 02:03:04 ago)\n",
		"config    /etc/sinkd/sinkd.conf, generation 3\n",
		"\nworkers   5 idle, 17 busy, 0 starting", "mx                       ",
		"  2.500\n",
		"certificate CN=mx.example.test, made by sinkd at its start\n"
		"    expires 2027-03-03 12:14 UTC\n    SHA-256 AA:BB\n",
		"certificate CN=other, for other.example.test, of /etc/sinkd/other.pem\n"
		"    expires 2026-12-06 12:14 UTC  WARNING: in 13 days\n",
		"WARNING: it has expired\n",
		"\nlogins refused                          4 ");
	CONTAINS(&forms[1], &s, "\"state\":\"running\"", "\"uptime_seconds\":93784.005",
		"\"workers\":{\"idle\":5,\"busy\":17,", "\"stressed\":false",
		"{\"name\":\"mx\",\"address\":\"0.0.0.0:25\",\"waiting\":31}",
		"{\"server_name\":\"other.example.test\",\"subject\":\"CN=other\","
		"\"sha256\":\"CC:DD\",\"file\":\"/etc/sinkd/other.pem\","
		"\"expires\":1796559248,\"expiring\":true}",
		"\"totals\":{\"sessions\":110,", "\"rates\":{\"sessions\":2.500,");
	/* Rates when the configuration was loaded just now, and by a liar. */
	m.status.since_reload_ms = 0;
	m.status.at_reload.bytes = UINT64_MAX;
	m.status.state = 77;
	m.status.is_stressed = 1;
	CONTAINS(&forms[1], &s, "\"rates\":{\"sessions\":0.000,", "\"bytes\":0.000",
		"\"state\":\"unknown\"", "\"stressed\":true");
	CONTAINS(&forms[0], &s, "timeouts.busy-command applies");
}

static void test_sessions(void)
{
	struct image m = sample();
	struct control_snapshot s;

	CU_ASSERT_FATAL(snapshot_parse(&m, sizeof(m), &s) == 0);
	CONTAINS(&forms[2], &s,
		"     1     5001    3 data            1.5s 192.0.2.7                  "
		"40000        2         2048        9 client.example\n",
		"     2     5002    3 idle               - -");
	CONTAINS(&forms[3], &s, "{\"worker\":1,\"pid\":5001,\"generation\":3,",
		"\"client\":\"192.0.2.7\",\"port\":40000,\"helo\":\"client.example\","
		"\"seconds\":1.500,");
}

static void test_rules(void)
{
	struct image m = sample();
	struct control_snapshot s;

	CU_ASSERT_FATAL(snapshot_parse(&m, sizeof(m), &s) == 0);
	CONTAINS(form_of("rules"), &s, "full                             rcpt       on ",
		" 17\n", "tarpit                           helo       off ",
		"grey                             rcpt       switched on ",
		"down                             connect    switched off ");
	CONTAINS(form_of("rules as JSON"), &s,
		"{\"name\":\"full\",\"stage\":\"rcpt\",\"on\":true,\"switched\":false,"
		"\"hits\":17}",
		"{\"name\":\"down\",\"stage\":\"connect\",\"on\":false,\"switched\":"
		"true,\"hits\":4}");
	CONTAINS(form_of("metrics"), &s, "# TYPE sinkd_rule_hits counter\n",
		"sinkd_rule_hits_total{rule=\"full\"} 17\n",
		"sinkd_rule_hits_total{rule=\"tarpit\"} 0\n");
}

static void test_metrics(void)
{
	struct image m = sample();
	struct control_snapshot s;

	memcpy(m.listeners[0].name, "a\"b\\\n", 6);
	CU_ASSERT_FATAL(snapshot_parse(&m, sizeof(m), &s) == 0);
	CONTAINS(form_of("metrics"), &s, "# TYPE sinkd_sessions counter\n",
		"\nsinkd_sessions_total 110\n", "\nsinkd_workers{state=\"busy\"} 17\n",
		"# UNIT sinkd_message_bytes bytes\n",
		"sinkd_tls_handshakes_total{result=\"resumed\"} 30\n",
		"sinkd_logins_total{result=\"accepted\"} 6\n",
		"sinkd_certificate_expiry_seconds{subject=\"CN=other\",fingerprint=\"CC:"
		"DD\","
		"server_name=\"other.example.test\"} 1796559248\n",
		"sinkd_commands_total{verb=\"MAIL\",result=\"refused\"} 8\n",
		"sinkd_delivery_seconds_bucket{le=\"0.000001\"} 1\n",
		"sinkd_delivery_seconds_bucket{le=\"0.000512\"} 1\n",
		"sinkd_delivery_seconds_bucket{le=\"0.001024\"} 3\n",
		"sinkd_delivery_seconds_bucket{le=\"1073.741824\"} 3\n",
		"sinkd_delivery_seconds_bucket{le=\"+Inf\"} 7\n",
		"sinkd_delivery_seconds_sum 1.234567\nsinkd_delivery_seconds_count 7\n",
		/* A quote, a backslash and a newline; each made printable, then quoted
		 * for the format. */
		"sinkd_clients_waiting{listener=\"a\\\"b\\\\\\\\x0A\",", "\n# EOF\n");
	CONTAINS(form_of("metrics as JSON"), &s,
		"{\"name\":\"sinkd_sessions\",\"type\":\"counter\",\"unit\":\"\",",
		"{\"name\":\"sinkd_workers\",\"labels\":{\"state\":\"busy\"},\"value\":"
		"17}");
	CONTAINS(form_of("metrics as a table"), &s, "sinkd_workers{state=\"busy\"}     ");
}

static void test_json_checker(void)
{
	static const struct {
		const char *text;
		bool is_valid;
	} cases[] = {
		{"{\"a\":[1,-2.5,0,true,false,null,{\"b\":\"c\"},[],{}]}\n", true},
		{"{\"a\":1}", false},
		{"{\"a\":1,}\n", false},
		{"[1,]\n", false},
		{"[01]\n", false},
		{"[1.]\n", false},
		{"[\"a]\n", false},
		{"{\"a\" 1}\n", false},
		{"{a:1}\n", false},
		{"[1]]\n", false},
		{"[\"\\x41\"]\n", false},
		{"[tru]\n", false},
		{"", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CHECK(cases[i].text,
			json_is_valid(str_of(cases[i].text)) == cases[i].is_valid);
}

void suite_show(void)
{
	CU_pSuite s = CU_add_suite("show", NULL, NULL);

	CU_add_test(s, "the checker of JSON", test_json_checker);
	CU_add_test(s, "snapshots, whole and cut", test_parse);
	CU_add_test(s, "heads that lie", test_lies);
	CU_add_test(s, "random bytes", test_random_bytes);
	CU_add_test(s, "texts for terminals", test_escapes);
	CU_add_test(s, "status", test_status);
	CU_add_test(s, "sessions", test_sessions);
	CU_add_test(s, "rules", test_rules);
	CU_add_test(s, "metrics", test_metrics);
}
