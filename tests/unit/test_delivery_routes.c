/* delivery/routes: recipients that go different ways, or nowhere, with everything that
 * can fail in every section and any two of these at once. */
#include "unit.h"

#include "maildir_fixture.h"
#include "routes_fixture.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "delivery/routes.h"

static void check_case(struct delivery *d)
{
	static const char letters[] = "UOTDL";
	char name[80];

	send_message(d);
	if (is_right())
		return;
	(void)snprintf(name, sizeof(name), "%s %c%c%c %zu.%d.%zu=%d %zu.%d.%zu=%d",
		current.is_lmtp ? "LMTP" : "SMTP", letters[current.fates[0]],
		letters[current.fates[1]],
		current.n < 3 ? '-' : letters[current.fates[2]],
		current.faults[0].section, current.faults[0].step, current.faults[0].who,
		current.faults[0].code, current.faults[1].section, current.faults[1].step,
		current.faults[1].who, current.faults[1].code);
	CHECK(name, false);
}

/* ---------------------------------------------------------------------- tests */

/* All that may fail for n recipients, and nothing.  Returns how much that is. */
static size_t list_faults(struct fault list[100], int code)
{
	size_t count = 1;

	list[0] = (struct fault){0};
	for (size_t s = 0; s < SECTIONS; s++) {
		for (int step = 0; step < STEPS; step++) {
			list[count++] = (struct fault){s, (enum step)step, ALL, code};
			for (size_t i = 0; step >= PREPARE && i < current.n; i++)
				list[count++] =
					(struct fault){s, (enum step)step, i, code};
		}
	}
	return count;
}

static void for_all_fates(struct delivery *d)
{
	size_t total = 1;

	for (size_t i = 0; i < current.n; i++)
		total *= FATES;
	for (size_t number = 0; number < total; number++) {
		size_t left = number;
		bool is_late = false;

		for (size_t i = 0; i < current.n; i++, left /= FATES) {
			current.fates[i] = (enum fate)(left % FATES);
			is_late |= current.fates[i] == DISCARDED_LATE;
		}
		current.is_lmtp = true;
		check_case(d);
		current.is_lmtp = false;
		if (!is_late)
			check_case(d);
	}
}

static void one_fault(void)
{
	struct delivery *d = open_sections();
	struct fault list[100];
	size_t count;

	memset(&current, 0, sizeof(current));
	current.n = 3;
	for (int code = 451; code <= 550; code += 99) {
		count = list_faults(list, code);
		for (size_t i = 0; i < count; i++) {
			current.faults[0] = list[i];
			for_all_fates(d);
		}
	}
	close_sections(d);
}

static void two_faults(void)
{
	struct delivery *d = open_sections();
	struct fault list[100], with[100];
	size_t count;

	memset(&current, 0, sizeof(current));
	current.n = 2;
	count = list_faults(list, 550);
	(void)list_faults(with, 452);
	for (size_t i = 0; i < count; i++) {
		for (size_t k = 0; k < count; k++) {
			current.faults[0] = list[i];
			current.faults[1] = with[k];
			for_all_fates(d);
		}
	}
	close_sections(d);
}

/* Sections come in the order of the routes, whatever that of the recipients is. */
static void in_order(void)
{
	static const struct {
		const char *name;
		enum fate fates[TO];
		const char *order;
		uint64_t patience;
	} cases[] = {
		{"one way", {USUAL, USUAL, USUAL},
			"a.xyz r.xyz a.prepare-xyz r.prepare-xyz r.run-xyz a.commit-xyz "
			"r.commit-xyz a.end-xyz r.end-xyz ",
			3},
		{"one other way", {OTHER, OTHER, OTHER},
			"b.xyz a.xyz b.prepare-xyz a.prepare-xyz b.commit-xyz "
			"a.commit-xyz b.end-xyz a.end-xyz ",
			0},
		{"all ways", {THIRD, OTHER, USUAL},
			"a.yz r.xz b.xy o.x a.prepare-yz r.prepare-xz b.prepare-xy "
			"o.prepare-x r.run-xz a.commit-yz r.commit-xz b.commit-xy "
			"o.commit-x a.end-yz r.end-xz b.end-xy o.end-x ",
			2},
		{"for some of them", {THIRD, DISCARDED, THIRD},
			"o.xz b.xz r.xz o.prepare-xz b.prepare-xz r.prepare-xz r.run-xz "
			"o.commit-xz b.commit-xz r.commit-xz o.end-xz b.end-xz r.end-xz ",
			2},
		{"for all, by two ways", {THIRD, OTHER, OTHER},
			"b.xyz a.yz o.x r.x b.prepare-xyz a.prepare-yz o.prepare-x "
			"r.prepare-x r.run-x b.commit-xyz a.commit-yz o.commit-x "
			"r.commit-x b.end-xyz a.end-yz o.end-x r.end-x ",
			1},
		{"nowhere", {DISCARDED, DISCARDED, DISCARDED}, "", 0},
	};
	const struct smtp_sink *sink = &delivery_sink;
	struct delivery *d = open_sections();

	memset(&current, 0, sizeof(current));
	current.n = 3;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memcpy(current.fates, cases[i].fates, sizeof(current.fates));
		send_message(d);
		CHECK(cases[i].name, is_right());
		CHECK_STR(cases[i].name, str_of(order), str_of(cases[i].order));
		prepare_case();
		CHECK(cases[i].name, sink->begin(d, &envelope).kind == RESULT_OK);
		CHECK(cases[i].name, delivery_patience_ms(d) == cases[i].patience);
		sink->abort(d);
		CHECK(cases[i].name, delivery_patience_ms(d) == 0);
	}
	CU_ASSERT_EQUAL(logged_lines(), 0);
	close_sections(d);
}

/* A section is spared when nobody is left of those it has, though others are. */
static void nobody_left(void)
{
	struct delivery *d = open_sections();

	current = (struct routes_case){.n = 2,
		.fates = {USUAL, OTHER},
		.is_lmtp = true,
		.faults = {{A, PREPARE, 0, 451}}};
	send_message(d);
	CU_ASSERT_TRUE(is_right());
	CHECK_STR("spared", str_of(order),
		STR("a.xy r.x b.y a.prepare-xy b.prepare-y a.commit-xy b.commit-y "
		    "a.end-xy r.end-x b.end-y "));
	close_sections(d);
}

/* The message as a whole is for nobody. */
static void nobody(void)
{
	struct delivery *d = open_sections();

	memset(&current, 0, sizeof(current));
	current.n = 1;
	prepare_case();
	envelope.is_discarded = true;
	CU_ASSERT_EQUAL(delivery_sink.begin(d, &envelope).kind, RESULT_OK);
	CU_ASSERT_EQUAL(delivery_sink.chunk(d, "hi", 2).kind, RESULT_OK);
	delivery_sink.prepare(d, results);
	CU_ASSERT_EQUAL(results[0].code, 250);
	delivery_sink.commit(d, keep, results);
	CU_ASSERT_EQUAL(results[0].code, 250);
	CHECK_STR("nobody is told", str_of(order), STR(""));
	close_sections(d);
}

/* What a module makes up is not followed; the client may try again. */
static void unknown_route(void)
{
	static const unsigned numbers[] = {3, 1000000, UINT32_MAX};
	struct delivery *d = open_sections();

	memset(&current, 0, sizeof(current));
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		for (current.n = 1; current.n <= 2; current.n++) {
			prepare_case();
			envelope.recipients[current.n - 1].route = numbers[i];
			CU_ASSERT_EQUAL(delivery_sink.begin(d, &envelope).code, 451);
			CHECK_STR("nobody is told", str_of(order), STR(""));
			/* And the next message goes through. */
			send_message(d);
			CU_ASSERT_TRUE(is_right());
		}
	}
	CU_ASSERT_EQUAL(logged_lines(), 6);
	close_sections(d);
}

/* Everyone is where he goes, and in the order of the message; with too little memory
 * there is no message at all. */
static void many(void)
{
	enum { MANY = 10000 };
	static const size_t one[] = {0}, two[] = {1}, both[] = {0, 1};
	static const struct delivery_route ways[] = {{two, 1}, {both, 2}};
	static struct recipient all[MANY];
	struct envelope e = {.recipients = all, .recipient_count = MANY};
	struct share shares[2] = {0};
	struct routes r;
	size_t next[2] = {0}, cap = 0, wrong = 0;
	int err = -ENOMEM;

	routes_init(&r, shares, 2);
	r.usual = (struct delivery_route){one, 1};
	r.others = ways;
	r.other_count = 2;
	for (size_t i = 0; i < MANY; i++)
		all[i] = (struct recipient){
			.route = (unsigned)(i % 3), .is_discarded = i % 5 == 0};
	for (; err == -ENOMEM; cap = cap * 5 / 4 + 1) {
		r.arena.cap = cap;
		err = routes_distribute(&r, &e);
		CU_ASSERT_EQUAL(r.section_count, err == 0 ? 2 : 0);
		CU_ASSERT_TRUE(err == 0 || r.arena.used == 0);
	}
	CU_ASSERT_EQUAL(err, 0);
	CU_ASSERT_TRUE(cap > MANY * sizeof(all[0]));
	for (size_t i = 0; i < MANY; i++)
		for (size_t s = 0; s < 2; s++)
			if (i % 5 != 0 && (i % 3 == 2 || i % 3 == s))
				wrong += share_index(&r.shares[s], next[s]++) != i;
	CU_ASSERT_EQUAL(wrong, 0);
	for (size_t s = 0; s < 2; s++) {
		CU_ASSERT_EQUAL(r.shares[s].count, next[s]);
		CU_ASSERT_EQUAL(r.shares[s].envelope->recipient_count, next[s]);
	}
	routes_forget(&r);
	CU_ASSERT_EQUAL(r.arena.used, 0);
	routes_done(&r);
}

/* ------------------------------------------------------- with mailboxes behind it */

#define FACT "X-Sinkd-Envelope: "

/* Where recipients 0 to 3 go, of whom 2 is discarded. */
static void check_names(const struct delivery *d)
{
	static const struct {
		size_t first, count;
		const char *names;
	} cases[] = {{0, 4, "inbox,other"}, {0, 1, "inbox"}, {1, 1, "other"}, {2, 1, ""},
		{1, 3, "other"}, {0, 0, ""}};
	char names[64];

	CU_ASSERT(delivery_has_detour(&envelope));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		delivery_write_names(d, &envelope, cases[i].first, cases[i].count, names,
			sizeof(names));
		CU_ASSERT_STRING_EQUAL(names, cases[i].names);
	}
	delivery_write_names(d, &envelope, 0, 4, names, 8);
	CU_ASSERT_STRING_EQUAL(names, "inbox,o");
}

/* Each section has the recipients who are delivered there, and knows of all others;
 * what was put in front stands behind what the delivery adds. */
static void mailboxes_of_two(void)
{
	static const size_t one[] = {0}, two[] = {1};
	static const struct delivery_route elsewhere[] = {{two, 1}};
	static const char *const addresses[] = {
		"a@x.test", "b@y.test", "c@z.test", "d@x.test"};
	static const struct delivery_env none;
	struct delivery_settings both[2];
	struct delivery *d = NULL;
	char path[128];
	size_t failed;

	start("inbox");
	both[0] = settings;
	both[0].is_required = true;
	both[0].headers[0] = HEADER_DELIVERED_TO;
	both[1] = both[0];
	both[1].name = "other";
	(void)snprintf(path, sizeof(path), "%s", at("other/%{recipient.domain}"));
	both[1].path = path;
	both[1].headers[1] = HEADER_ENVELOPE;
	both[1].line_ending = LINE_ENDING_CRLF;
	CU_ASSERT_EQUAL(both[0].backend->prepare_host(&both[0], NULL), 0);
	CU_ASSERT_EQUAL(both[1].backend->prepare_host(&both[1], NULL), 0);
	CU_ASSERT_EQUAL_FATAL(delivery_open(both, 2, &none, &d, &failed), 0);
	delivery_select(d, one, 1);
	delivery_set_routes(d, elsewhere, 1);
	set_envelope(4, addresses);
	envelope.client = (struct envelope_client){.address = STR("unknown")};
	envelope.prepended = STR("X-One: 1\nX-Two: 2\n");
	for (size_t i = 0; i < 4; i++)
		envelope.recipients[i].argument = str_of(addresses[i]);
	envelope.recipients[1].route = envelope.recipients[3].route = 1;
	envelope.recipients[2].is_discarded = true;
	CU_ASSERT_EQUAL(delivery_sink.begin(d, &envelope).kind, RESULT_OK);
	CU_ASSERT_EQUAL(delivery_sink.chunk(d, "A: b\r\n", 6).kind, RESULT_OK);
	delivery_sink.prepare(d, results);
	delivery_sink.commit(d, keep, results);
	for (size_t i = 0; i < 4; i++)
		CU_ASSERT_EQUAL(results[i].code, 250);
	check_counts("first", "inbox", 0, 1);
	check_file("first", "inbox/new/" BASE ",S=46",
		STR("Delivered-To: a@x.test\nX-One: 1\nX-Two: 2\nA: b\n"));
	check_counts("second", "other/y.test", 0, 1);
	check_counts("second", "other/x.test", 0, 1);
	CU_ASSERT_EQUAL(count("other"), 2);
	check_file("second", "other/x.test/new/" BASE ",S=264",
		STR("Delivered-To: d@x.test\r\n" FACT "protocol=SMTP\r\n" FACT "id=" ID
		    "\r\n" FACT "rcpt=a@x.test\r\n" FACT "rcpt=b@y.test\r\n" FACT
		    "rcpt=c@z.test\r\n" FACT
		    "rcpt=d@x.test\r\nX-One: 1\r\nX-Two: 2\r\nA: b\r\n"));
	CU_ASSERT_EQUAL(logged_lines(), 0);
	check_names(d);
	close_sections(d);
}

void suite_delivery_routes(void)
{
	CU_pSuite s = CU_add_suite("delivery by several routes", NULL, NULL);

	CU_add_test(s, "one fault", one_fault);
	CU_add_test(s, "two faults", two_faults);
	CU_add_test(s, "in order", in_order);
	CU_add_test(s, "nobody left", nobody_left);
	CU_add_test(s, "nobody", nobody);
	CU_add_test(s, "unknown route", unknown_route);
	CU_add_test(s, "many", many);
	CU_add_test(s, "mailboxes of two", mailboxes_of_two);
}
