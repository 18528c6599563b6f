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

		slot_begin_session(f.own, &from);
		slot_read(slots_get(f.slots, 7), &report);
		CHECK_STR(names[i], str_of(report.client), str_of(names[i]));
		CHECK_STR(names[i], str_of(report.state), STR("command"));
		CHECK(names[i], report.sessions == i + 1);
	}
	slot_set_state(f.own, SLOT_DATA);
	slot_read(slots_get(f.slots, 7), &report);
	CHECK_STR("state", str_of(report.state), STR("data"));
	slot_set_state(f.own, SLOT_IDLE);
	slot_read(slots_get(f.slots, 7), &report);
	CHECK_STR("nobody is left", str_of(report.client), STR(""));
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
	CHECK("accepted", report.messages == 2 && report.bytes == 1024);
	CHECK("refused, not aborted", report.refused == 1);
	slots_clear(f.slots, 7);
	slot_read(slots_get(f.slots, 7), &report);
	CHECK("cleared for the next", report.messages == 0 && report.sessions == 0);
	CHECK_STR("state", str_of(report.state), STR("starting"));
	tear_down(&f);
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

	CU_add_test(s, "clients and states", test_clients);
	CU_add_test(s, "messages", test_messages);
	CU_add_test(s, "a page full of lies", test_hostile_page);
}
