/* Unit tests of proc/slots: what a worker says, and what a taken one may claim. */
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <CUnit/CUnit.h>
#include <arpa/inet.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/fdio.h"
#include "proc/slots.h"
#include "unit.h"

struct fixture {
	struct slots *slots;
	int fd;
	struct slot *own;
};

static void set_up(struct fixture *f)
{
	CU_ASSERT_FATAL(slots_create(&f->slots, &f->fd) == 0);
	CU_ASSERT_FATAL(slots_map_own(f->fd, 7, &f->own) == 0);
}

/* The region is sparse, and the process ends soon. */
static void tear_down(struct fixture *f)
{
	(void)munmap(f->own, 4096);
	(void)fdio_close(&f->fd);
}

static struct sockaddr_storage client(const char *address)
{
	struct sockaddr_storage from = {.ss_family = AF_UNIX};
	struct sockaddr_in *in = (struct sockaddr_in *)&from;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&from;

	if (inet_pton(AF_INET, address, &in->sin_addr) == 1)
		from.ss_family = AF_INET;
	else if (inet_pton(AF_INET6, address, &in6->sin6_addr) == 1)
		from.ss_family = AF_INET6;
	if (from.ss_family != AF_UNIX)
		in->sin_port = htons(4711); /* at the same place in both */
	return from;
}

static void test_clients(void)
{
	static const char *const names[] = {
		"192.0.2.7", "2001:db8::1", "::1", "0.0.0.0", "unix"};
	struct slot_report report;
	struct fixture f;

	set_up(&f);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct sockaddr_storage from = client(names[i]);

		slot_begin_session(f.own, 1000 + i);
		slot_set_client(f.own, &from);
		slot_read(slots_get(f.slots, 7), &report);
		CHECK_STR(names[i], str_of(report.client), str_of(names[i]));
		CHECK_STR(names[i], str_of(report.state), STR("command"));
		CHECK(names[i], report.port == (i + 1 < 5 ? 4711 : 0));
		CHECK(names[i], report.since_ms == 1000 + i);
		CHECK(names[i], report.counts.sessions == i + 1);
		slot_end_session(f.own, i == 1);
	}
	slot_read(slots_get(f.slots, 7), &report);
	CHECK("timeouts", report.counts.timeouts == 1);
	tear_down(&f);
}

static void test_states(void)
{
	static const struct {
		enum slot_state state;
		const char *name;
		bool has_client;
	} cases[] = {
		{SLOT_STARTING, "starting", false},
		{SLOT_IDLE, "idle", false},
		{SLOT_COMMAND, "command", true},
		{SLOT_DATA, "data", true},
		{SLOT_DELIVERY, "delivery", true},
		{SLOT_STATES, "unknown", false},
	};
	struct sockaddr_storage from = client("192.0.2.7");
	struct slot_report report;
	struct fixture f;

	set_up(&f);
	slot_begin_session(f.own, 1);
	slot_set_client(f.own, &from);
	slot_set_helo(f.own, STR("client.example"));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *name = cases[i].name;

		slot_set_state(f.own, cases[i].state);
		slot_read(slots_get(f.slots, 7), &report);
		CHECK_STR(name, str_of(report.state), str_of(name));
		CHECK(name, (report.client[0] != '\0') == cases[i].has_client);
		CHECK(name, (report.helo[0] != '\0') == cases[i].has_client);
		CHECK(name, (report.since_ms != 0) == cases[i].has_client);
		CHECK(name, slot_is_idle(slots_get(f.slots, 7)) ==
				    (cases[i].state == SLOT_IDLE));
	}
	tear_down(&f);
}

/* What a session leaves behind is not the next one's. */
static void test_session(void)
{
	struct sockaddr_storage from = client("192.0.2.7");
	struct slot_report report;
	struct fixture f;

	set_up(&f);
	slot_begin_session(f.own, 1);
	slot_set_client(f.own, &from);
	slot_set_helo(f.own, STR("client.example"));
	slot_count_input(f.own, 100);
	slot_count_input(f.own, 23);
	slot_count_message(f.own, 250, 50);
	slot_set_deadline(f.own, 70000);
	slot_read(slots_get(f.slots, 7), &report);
	CHECK("octets", report.session_bytes == 123);
	CHECK("messages", report.session_messages == 1);
	CHECK_STR("helo", str_of(report.helo), STR("client.example"));
	CHECK("due", slot_due_ms(slots_get(f.slots, 7)) == 70000 + SLOT_SLACK_MS);
	slot_end_session(f.own, false);
	CHECK("idle for ever", slot_due_ms(slots_get(f.slots, 7)) == 0);
	slot_begin_session(f.own, 2);
	slot_set_client(f.own, &from);
	slot_read(slots_get(f.slots, 7), &report);
	CHECK("new", report.session_bytes == 0 && report.session_messages == 0);
	CHECK_STR("not greeted", str_of(report.helo), STR(""));
	CHECK("the sum stays", report.counts.messages_accepted == 1);
	tear_down(&f);
}

static void test_helo(void)
{
	static const struct {
		const char *name;
		struct str said;
		const char *shown;
	} cases[] = {
		{"hostile", STR("a\x1b[2J\xff"), "a\\x1B[2J\\xFF"},
		{"longest",
			STR("0123456789012345678901234567890123456789"
			    "01234567890123456789012"),
			"0123456789012345678901234567890123456789"
			"01234567890123456789012"},
		{"too long",
			STR("0123456789012345678901234567890123456789"
			    "012345678901234567890123456789"),
			"0123456789012345678901234567890123456789"
			"01234567890123456789..."},
		{"shorter again", STR("b"), "b"},
	};
	struct sockaddr_storage from = client("::1");
	struct slot_report report;
	struct fixture f;

	set_up(&f);
	slot_begin_session(f.own, 1);
	slot_set_client(f.own, &from);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		slot_set_helo(f.own, cases[i].said);
		slot_read(slots_get(f.slots, 7), &report);
		CHECK_STR(cases[i].name, str_of(report.helo), str_of(cases[i].shown));
	}
	tear_down(&f);
}

static void test_messages(void)
{
	struct slot_report report;
	struct fixture f;

	set_up(&f);
	slot_count_message(f.own, 250, 1000);
	slot_count_message(f.own, 250, 24);
	slot_count_message(f.own, 552, 1 << 20);
	slot_count_message(f.own, 0, 5);
	slot_read(slots_get(f.slots, 7), &report);
	CHECK("accepted", report.counts.messages_accepted == 2);
	CHECK("octets", report.counts.bytes == 1024);
	CHECK("refused", report.counts.messages_refused == 1);
	CHECK("aborted", report.counts.messages_aborted == 1);
	slots_clear(f.slots, 7);
	slot_read(slots_get(f.slots, 7), &report);
	CHECK("cleared for the next", report.counts.messages_accepted == 0);
	CHECK_STR("state", str_of(report.state), STR("starting"));
	tear_down(&f);
}

static void test_answers(void)
{
	struct slot_report report;
	struct fixture f;

	set_up(&f);
	slot_count_answer(f.own, VERB_MAIL, 250);
	slot_count_answer(f.own, VERB_MAIL, 250);
	slot_count_answer(f.own, VERB_MAIL, 503);
	slot_count_answer(f.own, VERB_DATA, 354);
	slot_count_answer(f.own, VERB_OTHER, 500);
	slot_count_answer(f.own, VERB_OTHER, 0);
	slot_read(slots_get(f.slots, 7), &report);
	CHECK("mail", report.counts.verbs[VERB_MAIL][SLOT_ACCEPTED] == 2);
	CHECK("mail", report.counts.verbs[VERB_MAIL][SLOT_REFUSED] == 1);
	CHECK("data", report.counts.verbs[VERB_DATA][SLOT_ACCEPTED] == 1);
	CHECK("no reply", report.counts.verbs[VERB_OTHER][SLOT_REFUSED] == 2);
	tear_down(&f);
}

static void test_deliveries(void)
{
	static const struct {
		const char *name;
		uint64_t us;
		size_t bucket;
	} cases[] = {
		{"none", 0, 0},
		{"one", 1, 1},
		{"two", 2, 2},
		{"three", 3, 2},
		{"four", 4, 3},
		{"a second", 1000000, 20},
		{"last", (uint64_t)1 << 30, 31},
		{"beyond", UINT64_MAX, 31},
	};
	struct slot_report report;
	struct fixture f;

	set_up(&f);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		slots_clear(f.slots, 7);
		slot_count_delivery(f.own, cases[i].us);
		slot_read(slots_get(f.slots, 7), &report);
		for (size_t j = 0; j < SLOT_DURATIONS; j++)
			CHECK(cases[i].name,
				report.counts.deliveries[j] == (j == cases[i].bucket));
		CHECK(cases[i].name, report.counts.delivery_us == cases[i].us);
	}
	tear_down(&f);
}

static void test_sums(void)
{
	struct slot_counts total = {.sessions = 1, .delivery_us = 5};
	struct slot_counts one = {.sessions = 2, .bytes = 7, .delivery_us = UINT64_MAX};

	one.verbs[VERB_OTHER][SLOT_REFUSED] = 3;
	slot_counts_add(&total, &one);
	slot_counts_add(&total, &one);
	CHECK("first", total.sessions == 5 && total.bytes == 14);
	CHECK("between", total.verbs[VERB_OTHER][SLOT_REFUSED] == 6);
	CHECK("a lie wraps", total.delivery_us == 3);
}

/* A taken worker writes what it likes, into its page only. */
static void test_hostile_page(void)
{
	struct slot_report report;
	struct fixture f;

	set_up(&f);
	memset(f.own, 0xff, 4096);
	slot_read(slots_get(f.slots, 7), &report);
	CHECK_STR("state", str_of(report.state), STR("unknown"));
	CHECK_STR("client", str_of(report.client), STR(""));
	CHECK_STR("helo", str_of(report.helo), STR(""));
	CHECK("not idle", !slot_is_idle(slots_get(f.slots, 7)));
	/* With a session, all of the page is looked at. */
	slot_set_state(f.own, SLOT_DATA);
	slot_read(slots_get(f.slots, 7), &report);
	CHECK_STR("client", str_of(report.client),
		STR("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"));
	CHECK_STR("helo", str_of(report.helo),
		STR("\\xFF\\xFF\\xFF\\xFF\\xFF\\xFF\\xFF\\xFF\\xFF\\xFF"
		    "\\xFF\\xFF\\xFF\\xFF\\xFF..."));
	CHECK("port", report.port == 65535);
	slot_read(slots_get(f.slots, 6), &report);
	CHECK_STR("neighbour", str_of(report.state), STR("starting"));
	slot_read(slots_get(f.slots, 8), &report);
	CHECK_STR("neighbour", str_of(report.state), STR("starting"));
	CHECK("the region cannot be shortened", ftruncate(f.fd, 0) < 0);
	tear_down(&f);
}

void suite_slots(void)
{
	CU_pSuite s = CU_add_suite("slots", NULL, NULL);

	CU_add_test(s, "clients", test_clients);
	CU_add_test(s, "states", test_states);
	CU_add_test(s, "a session and the next", test_session);
	CU_add_test(s, "what a client calls itself", test_helo);
	CU_add_test(s, "messages", test_messages);
	CU_add_test(s, "answers to commands", test_answers);
	CU_add_test(s, "durations of deliveries", test_deliveries);
	CU_add_test(s, "sums", test_sums);
	CU_add_test(s, "a page full of lies", test_hostile_page);
}
