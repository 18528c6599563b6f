/* The slots; see slots.h.
 *
 * Written by workers, which may have been taken over, and read by the master.  No
 * lock: a worker can be killed at any moment, and each value stands for itself.
 * Relaxed order is enough, since nothing but display, sums
 * and the pause after a death depends on it. */
#include "proc/slots.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proc/region.h"

/* On every machine we run on a page is this long; a larger one would only mean
 * that neighbours share it, so it is checked. */
#define SLOT_SIZE 4096

union page {
	struct slot slot;
	char bytes[SLOT_SIZE];
};

struct slots {
	union page pages[SLOTS_MAX];
};

#define SET(place, value) atomic_store_explicit(&(place), (value), memory_order_relaxed)
#define GET(place)        atomic_load_explicit(&(place), memory_order_relaxed)

/* Of its own page a worker is the only writer, so it needs no locked addition. */
#define COUNT(place, value)                                                              \
	__atomic_store_n(&(place), (place) + (value), __ATOMIC_RELAXED)

/* struct slot_counts is nothing but these. */
#define COUNTS (sizeof(struct slot_counts) / sizeof(uint64_t))
_Static_assert(sizeof(struct slot_counts) % sizeof(uint64_t) == 0, "not only counts");
_Static_assert(sizeof(struct slot) <= SLOT_SIZE, "a slot is a page");

int slots_create(struct slots **ret, int *ret_fd)
{
	void *p;
	int r;

	if (sysconf(_SC_PAGESIZE) != SLOT_SIZE)
		return -ENOTSUP;
	r = region_create("sinkd-slots", sizeof(struct slots), 0, &p, ret_fd);
	if (r == 0)
		*ret = p;
	return r;
}

struct slot *slots_get(struct slots *s, size_t index)
{
	return &s->pages[index].slot;
}

void slots_clear(struct slots *s, size_t index)
{
	/* The page belongs to nobody now, so plain stores will do. */
	memset(&s->pages[index], 0, sizeof(s->pages[index]));
}

int slots_map_own(int fd, size_t index, struct slot **ret)
{
	void *p = mmap(NULL, SLOT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		(off_t)(index * SLOT_SIZE));

	if (p == MAP_FAILED)
		return -errno;
	*ret = p;
	return 0;
}

/* 16 bytes of an IPv6 address; IPv4 as ::ffff:192.0.2.1. */
static void client_bytes(const struct sockaddr_storage *from, uint64_t ret[2])
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)from;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)from;
	unsigned char bytes[16] = {0};

	if (from->ss_family == AF_INET6)
		memcpy(bytes, &in6->sin6_addr, 16);
	if (from->ss_family == AF_INET) {
		bytes[10] = bytes[11] = 0xff;
		memcpy(bytes + 12, &in->sin_addr, 4);
	}
	memcpy(ret, bytes, sizeof(bytes));
}

/* In the order of the host, as the rest of what is said. */
static uint32_t client_port(const struct sockaddr_storage *from)
{
	if (from->ss_family == AF_INET6)
		return ntohs(((const struct sockaddr_in6 *)from)->sin6_port);
	if (from->ss_family == AF_INET)
		return ntohs(((const struct sockaddr_in *)from)->sin_port);
	return 0;
}

void slot_begin_session(struct slot *slot, uint64_t now_ms)
{
	SET(slot->since_ms, now_ms);
	SET(slot->session_bytes, 0);
	SET(slot->session_messages, 0);
	SET(slot->helo[0], 0);
	SET(slot->state, SLOT_COMMAND);
	COUNT(slot->counts.sessions, 1);
}

void slot_set_client(struct slot *slot, const struct sockaddr_storage *from)
{
	uint64_t client[2];

	client_bytes(from, client);
	SET(slot->client[0], client[0]);
	SET(slot->client[1], client[1]);
	SET(slot->port, client_port(from));
}

void slot_end_session(struct slot *slot, bool has_timed_out)
{
	COUNT(slot->counts.timeouts, has_timed_out);
	SET(slot->due_ms, 0);
}

void slot_set_state(struct slot *slot, enum slot_state state)
{
	SET(slot->state, state);
}

void slot_set_helo(struct slot *slot, struct str helo)
{
	uint64_t words[SLOT_HELO_SIZE / 8] = {0};

	memcpy(words, helo.p, helo.n < sizeof(words) ? helo.n : sizeof(words));
	for (size_t i = 0; i < SLOT_HELO_SIZE / 8; i++)
		SET(slot->helo[i], words[i]);
}

void slot_set_deadline(struct slot *slot, uint64_t deadline_ms)
{
	SET(slot->due_ms, deadline_ms + SLOT_SLACK_MS);
}

void slot_count_input(struct slot *slot, uint64_t bytes)
{
	SET(slot->session_bytes, GET(slot->session_bytes) + bytes);
}

void slot_count_answer(struct slot *slot, enum smtp_verb verb, int code)
{
	bool is_accepted = code >= 200 && code < 400;

	COUNT(slot->counts.verbs[verb][is_accepted ? SLOT_ACCEPTED : SLOT_REFUSED], 1);
}

void slot_count_handshake(struct slot *slot, enum slot_handshake how)
{
	COUNT(slot->counts.handshakes[how], 1);
}

void slot_count_login(struct slot *slot, enum slot_answer how)
{
	COUNT(slot->counts.logins[how], 1);
}

void slot_count_message(struct slot *slot, int code, uint64_t bytes)
{
	if (code == 250) {
		COUNT(slot->counts.messages_accepted, 1);
		COUNT(slot->counts.bytes, bytes);
		SET(slot->session_messages, GET(slot->session_messages) + 1);
	} else if (code != 0) {
		COUNT(slot->counts.messages_refused, 1);
	} else {
		COUNT(slot->counts.messages_aborted, 1);
	}
}

void slot_count_delivery(struct slot *slot, uint64_t duration_us)
{
	size_t bits = duration_us == 0 ? 0 : 64 - (size_t)__builtin_clzll(duration_us);

	COUNT(slot->counts.deliveries[bits < SLOT_DURATIONS ? bits : SLOT_DURATIONS - 1],
		1);
	COUNT(slot->counts.delivery_us, duration_us);
}

/* ----------------------------------------------------------- in the master */

static void format_client(const struct slot *slot, char text[INET6_ADDRSTRLEN])
{
	static const uint64_t nobody[2];
	uint64_t client[2] = {GET(slot->client[0]), GET(slot->client[1])};
	unsigned char bytes[16];

	memcpy(bytes, client, sizeof(bytes));
	if (memcmp(client, nobody, sizeof(client)) == 0)
		memcpy(text, "unix", sizeof("unix"));
	else if (IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)(const void *)bytes))
		(void)inet_ntop(AF_INET, bytes + 12, text, INET6_ADDRSTRLEN);
	else
		(void)inet_ntop(AF_INET6, bytes, text, INET6_ADDRSTRLEN);
}

static void format_helo(const struct slot *slot, char text[SLOT_HELO_SIZE])
{
	uint64_t words[SLOT_HELO_SIZE / 8];
	const char *helo = (const char *)words;

	for (size_t i = 0; i < SLOT_HELO_SIZE / 8; i++)
		words[i] = GET(slot->helo[i]);
	(void)str_printable(
		text, SLOT_HELO_SIZE, (struct str){helo, strnlen(helo, SLOT_HELO_SIZE)});
}

static void read_counts(const struct slot *slot, struct slot_counts *ret)
{
	const uint64_t *from = (const uint64_t *)&slot->counts;
	uint64_t *to = (uint64_t *)ret;

	for (size_t i = 0; i < COUNTS; i++)
		to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

void slot_read(const struct slot *slot, struct slot_report *ret)
{
	static const char *const names[] = {
		"starting", "idle", "command", "data", "delivery", "handshake"};
	uint32_t state = GET(slot->state);

	*ret = (struct slot_report){.state = "unknown"};
	/* Compared, never used as an index: the value is the worker's. */
	for (uint32_t known = 0; known < SLOT_STATES; known++)
		if (state == known)
			ret->state = names[known];
	read_counts(slot, &ret->counts);
	if (state == SLOT_STARTING || state == SLOT_IDLE || state >= SLOT_STATES)
		return;
	format_client(slot, ret->client);
	format_helo(slot, ret->helo);
	ret->port = (uint16_t)GET(slot->port);
	ret->since_ms = GET(slot->since_ms);
	ret->session_bytes = GET(slot->session_bytes);
	ret->session_messages = GET(slot->session_messages);
}

bool slot_is_idle(const struct slot *slot)
{
	return GET(slot->state) == SLOT_IDLE;
}

uint64_t slot_due_ms(const struct slot *slot)
{
	return GET(slot->due_ms);
}

void slot_counts_add(struct slot_counts *total, const struct slot_counts *counts)
{
	uint64_t *to = (uint64_t *)total;
	const uint64_t *from = (const uint64_t *)counts;

	for (size_t i = 0; i < COUNTS; i++)
		to[i] += from[i];
}
