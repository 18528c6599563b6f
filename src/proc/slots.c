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
#define ADD(place, value)                                                                \
	atomic_fetch_add_explicit(&(place), (value), memory_order_relaxed)

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

void slot_begin_session(struct slot *slot, const struct sockaddr_storage *from)
{
	uint64_t client[2];

	client_bytes(from, client);
	SET(slot->client[0], client[0]);
	SET(slot->client[1], client[1]);
	SET(slot->state, SLOT_COMMAND);
	ADD(slot->sessions, 1);
}

void slot_set_state(struct slot *slot, enum slot_state state)
{
	SET(slot->state, state);
}

void slot_count_message(struct slot *slot, int code, uint64_t bytes)
{
	if (code == 250) {
		ADD(slot->messages, 1);
		ADD(slot->bytes, bytes);
	} else if (code != 0) {
		ADD(slot->refused, 1);
	}
}

bool slot_is_idle(const struct slot *slot)
{
	return GET(slot->state) == SLOT_IDLE;
}

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

void slot_read(const struct slot *slot, struct slot_report *ret)
{
	static const char *const names[] = {"starting", "idle", "command", "data"};
	uint32_t state = GET(slot->state);

	*ret = (struct slot_report){
		.state = "unknown",
		.sessions = GET(slot->sessions),
		.messages = GET(slot->messages),
		.refused = GET(slot->refused),
		.bytes = GET(slot->bytes),
	};
	/* Compared, never used as an index: the value is the worker's. */
	for (uint32_t known = 0; known < SLOT_STATES; known++)
		if (state == known)
			ret->state = names[known];
	if (state == SLOT_COMMAND || state == SLOT_DATA)
		format_client(slot, ret->client);
}
