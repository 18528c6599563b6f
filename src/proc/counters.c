/* The counters; see counters.h.
 *
 * Runs in the master and, on the same memory, in all workers, of which any may be
 * hostile.  No locks: a worker that is killed holds none.
 *
 * The table of keys.  A key belongs to one set of eight entries, by its lowest bits.  Of
 * each entry one word holds both the count and the start of its window, so that they
 * change together.  A key takes an entry over in two steps, the word from what was seen
 * to 0, the key from what was seen to the new one; if either is not what it was any
 * more, another process was faster, and the search begins again.  Whoever stops between
 * the two leaves an entry with nothing counted. */
#include "proc/counters.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#include "base/siphash.h"
#include "proc/region.h"
#include "proc/slots.h"

#define SET_SIZE  8
#define SET_COUNT (COUNTERS_KEYS_MAX / SET_SIZE)

/* Of the word of an entry: the count in the low bits, the start of its window above, in
 * monotonic ms, for 34 years of uptime.  Without a window all of it is the count. */
#define COUNT_BITS 24
#define START_MAX  (UINT64_MAX >> COUNT_BITS)

/* So often is a store tried that others may be faster at.  Each failure means that
 * another process has got through; only a hostile one does so time after time. */
#define TRIES_MAX 256

/* A process may be held up so long between a look at the clock and the use of it. */
#define CLOCK_LAG_MAX_MS 60000

#define CACHE_LINE 64

struct entry {
	_Atomic uint64_t key;
	_Atomic uint64_t word;
	_Atomic uint64_t touched_ms; /* 0: never used */
};

struct set {
	_Alignas(CACHE_LINE) struct entry entries[SET_SIZE];
};

struct counters {
	_Alignas(CACHE_LINE) _Atomic uint32_t idle;
	_Alignas(CACHE_LINE) _Atomic uint64_t clients[SLOTS_MAX];
	_Alignas(CACHE_LINE) _Atomic uint64_t rules[COUNTERS_RULES_MAX];
	struct set sets[SET_COUNT];
};

_Static_assert((SET_COUNT & (SET_COUNT - 1)) == 0, "an index is cut out of a hash");

/* For values that stand for themselves; the table of keys relies on order. */
#define SET(place, value) atomic_store_explicit(&(place), (value), memory_order_relaxed)
#define GET(place)        atomic_load_explicit(&(place), memory_order_relaxed)
#define ADD(place, value)                                                                \
	atomic_fetch_add_explicit(&(place), (value), memory_order_relaxed)

int counters_create(struct counters **ret, int *ret_fd)
{
	void *p;
	int r = region_create("sinkd-counters", sizeof(struct counters), 0, &p, ret_fd);

	if (r == 0)
		*ret = p;
	return r;
}

int counters_map(int fd, struct counters **ret)
{
	void *p = mmap(
		NULL, sizeof(struct counters), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	*ret = p;
	return 0;
}

/* ------------------------------------------------------------------- idle */

void counters_correct_idle(struct counters *c, uint32_t seen, uint32_t actual)
{
	uint32_t now = GET(c->idle), next;

	for (unsigned i = 0; i < TRIES_MAX && seen != actual; i++) {
		next = now + actual - seen;
		if (next > INT32_MAX)
			next = 0;
		if (atomic_compare_exchange_strong(&c->idle, &now, next))
			return;
	}
}

uint32_t counters_get_idle(const struct counters *c)
{
	return atomic_load(&c->idle);
}

uint32_t counters_take_idle(struct counters *c)
{
	uint32_t seen = GET(c->idle);

	for (unsigned i = 0; i < TRIES_MAX && seen > 0; i++)
		if (atomic_compare_exchange_strong(&c->idle, &seen, seen - 1))
			return seen - 1;
	return seen;
}

void counters_give_idle(struct counters *c)
{
	(void)atomic_fetch_add(&c->idle, 1);
}

/* ---------------------------------------------------------------- clients */

uint64_t counters_client_key(
	const uint64_t secret[2], const struct sockaddr_storage *from)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)from;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)from;
	const uint8_t *bytes = in6->sin6_addr.s6_addr;
	uint64_t key;

	/* Of different lengths, so that an address is never taken for a network. */
	if (from->ss_family == AF_INET)
		key = siphash(secret, &in->sin_addr, 4);
	else if (from->ss_family != AF_INET6)
		return 0;
	else if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
		key = siphash(secret, bytes + 12, 4);
	else
		key = siphash(secret, bytes, 8);
	return key != 0 ? key : 1;
}

void counters_set_client(struct counters *c, size_t slot, uint64_t key)
{
	assert(slot < SLOTS_MAX);
	SET(c->clients[slot], key);
}

unsigned counters_count_client(const struct counters *c, size_t slot_count, uint64_t key)
{
	unsigned n = 0;

	assert(slot_count <= SLOTS_MAX);
	if (key == 0)
		return 0;
	for (size_t i = 0; i < slot_count; i++)
		n += GET(c->clients[i]) == key;
	return n;
}

/* ------------------------------------------------------------------ rules */

uint64_t counters_add_rule(struct counters *c, size_t rule)
{
	assert(rule < COUNTERS_RULES_MAX);
	return ADD(c->rules[rule], 1) + 1;
}

uint64_t counters_get_rule(const struct counters *c, size_t rule)
{
	assert(rule < COUNTERS_RULES_MAX);
	return GET(c->rules[rule]);
}

/* ------------------------------------------------------------------- keys */

/* Between two times: what a hostile worker set into the future is as far away as if it
 * were past. */
static uint64_t distance(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

/* How long ago that was.  Another process may have read the clock later than we did. */
static uint64_t age_of(uint64_t then_ms, uint64_t now_ms)
{
	uint64_t age = distance(now_ms, then_ms);

	return then_ms > now_ms && age < CLOCK_LAG_MAX_MS ? 0 : age;
}

/* The count of a word, unless its window is over. */
static uint64_t count_of(uint64_t word, uint64_t now_ms, uint64_t window_ms)
{
	if (window_ms == 0)
		return word;
	return distance(now_ms, word >> COUNT_BITS) < window_ms
		       ? word & COUNTERS_COUNT_MAX
		       : 0;
}

/* The word after one more arrival. */
static uint64_t advance(uint64_t word, uint64_t now_ms, uint64_t window_ms)
{
	uint64_t count = count_of(word, now_ms, window_ms);

	if (count == 0 && window_ms > 0)
		return now_ms << COUNT_BITS | 1;
	return count == (window_ms > 0 ? COUNTERS_COUNT_MAX : UINT64_MAX) ? word
									  : word + 1;
}

static uint64_t count_arrival(struct entry *e, uint64_t now_ms, uint64_t window_ms)
{
	uint64_t seen = atomic_load(&e->word);

	atomic_store(&e->touched_ms, now_ms);
	for (unsigned i = 0; i < TRIES_MAX; i++) {
		uint64_t next = advance(seen, now_ms, window_ms);

		if (atomic_compare_exchange_strong(&e->word, &seen, next))
			return count_of(next, now_ms, window_ms);
	}
	return count_of(atomic_fetch_add(&e->word, 1) + 1, now_ms, window_ms);
}

/* An entry as it was when it was chosen. */
struct choice {
	struct entry *entry;
	uint64_t key;
	uint64_t word;
};

/* The entry of the key, else the one that was not touched for the longest, of several
 * the one that counted least: the clock goes in steps of some ms.  The order of the
 * reads matters.  The word first: who sees an old key has no newer word to compare with.
 * The key last: who sees a new time, and so would look for another entry, sees whose
 * key it is, and the same key is not put in twice. */
static struct choice choose(struct set *set, uint64_t key, uint64_t now_ms)
{
	struct choice oldest = {0};
	uint64_t oldest_age = 0, oldest_count = 0;

	for (unsigned i = 0; i < SET_SIZE; i++) {
		struct choice one = {.entry = &set->entries[i]};
		uint64_t age, count;

		one.word = atomic_load(&one.entry->word);
		age = age_of(atomic_load(&one.entry->touched_ms), now_ms);
		one.key = atomic_load(&one.entry->key);
		if (one.key == key)
			return one;
		count = one.word & COUNTERS_COUNT_MAX;
		if (oldest.entry == NULL || age > oldest_age ||
			(age == oldest_age && count < oldest_count)) {
			oldest = one;
			oldest_age = age;
			oldest_count = count;
		}
	}
	return oldest;
}

/* The entry of the key, found or made; NULL when others were faster every time. */
static struct entry *find_or_make(struct set *set, uint64_t key, uint64_t now_ms)
{
	for (unsigned i = 0; i < SET_SIZE; i++) {
		struct choice c = choose(set, key, now_ms);

		if (c.key == key)
			return c.entry;
		if (!atomic_compare_exchange_strong(&c.entry->word, &c.word, 0))
			continue;
		if (atomic_compare_exchange_strong(&c.entry->key, &c.key, key))
			return c.entry;
	}
	return NULL;
}

/* 0 is the key of entries that were never used. */
static uint64_t valid_key(uint64_t key)
{
	return key != 0 ? key : UINT64_MAX;
}

uint64_t counters_count_key(
	struct counters *c, uint64_t key, uint64_t now_ms, uint64_t window_ms)
{
	struct set *set = &c->sets[key & (SET_COUNT - 1)];
	struct entry *e;

	now_ms &= START_MAX;
	e = find_or_make(set, valid_key(key), now_ms);
	return e != NULL ? count_arrival(e, now_ms, window_ms) : 1;
}

uint64_t counters_seen_key(
	struct counters *c, uint64_t key, uint64_t now_ms, uint64_t window_ms)
{
	struct set *set = &c->sets[key & (SET_COUNT - 1)];
	struct choice found;

	now_ms &= START_MAX;
	found = choose(set, valid_key(key), now_ms);
	return found.key == valid_key(key) ? count_of(found.word, now_ms, window_ms) : 0;
}
