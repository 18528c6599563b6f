/* The counters: what all workers count together.
 *
 * One region, which every worker writes and nobody trusts: whoever has taken a worker
 * over may write anything anywhere in it.  So what is found here is compared or added;
 * it is never an index, a length, a pointer or a pid, and nothing loops until it has a
 * certain value.  A worker may be killed between any two stores.
 *
 * No call here is a system call, and none waits. */
#ifndef SINKD_PROC_COUNTERS_H
#define SINKD_PROC_COUNTERS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define COUNTERS_RULES_MAX 1024

/* Keys that are counted at the same time, and how far in a window: a count stays there.
 */
#define COUNTERS_KEYS_MAX  65536
#define COUNTERS_COUNT_MAX ((UINT64_C(1) << 24) - 1)

struct counters;

/* In the master: *ret is not inherited by children, *ret_fd is for counters_map in a
 * child.  Returns 0 or a negative errno. */
int counters_create(struct counters **ret, int *ret_fd);

/* In a worker: map for reading and writing.  Returns 0 or a negative errno. */
int counters_map(int fd, struct counters **ret);

/* How many workers are idle: a hint, which the master puts right at times.  take: this
 * worker turned busy; never below 0; returns how many are left.  give: it is idle.
 * correct: the hint was `seen`, then `actual` were counted; what workers have added and
 * taken since it was read stays, but for what is below 0.
 * The hint has to be read before the count is taken; and a worker is busy in its slot
 * before it takes, idle only after it gave.  So what they do in between makes the hint
 * too low, which wakes the master for nothing, and never too high, which would let it
 * sleep. */
void counters_correct_idle(struct counters *c, uint32_t seen, uint32_t actual);
uint32_t counters_get_idle(const struct counters *c);
uint32_t counters_take_idle(struct counters *c);
void counters_give_idle(struct counters *c);

/* What stands for the client: a hash of its address, of IPv6 the first 64 bits; an IPv4
 * address is the same client when it comes mapped.  0: no address, a Unix socket. */
uint64_t counters_client_key(
	const uint64_t secret[2], const struct sockaddr_storage *from);

/* The worker in this slot (below SLOTS_MAX) serves this client; 0: nobody. */
void counters_set_client(struct counters *c, size_t slot, uint64_t key);

/* In how many of the first slot_count slots the client is; 0 for the key 0. */
unsigned counters_count_client(const struct counters *c, size_t slot_count, uint64_t key);

/* One more for a rule (below COUNTERS_RULES_MAX); returns how many now.  Exact. */
uint64_t counters_add_rule(struct counters *c, size_t rule);
uint64_t counters_get_rule(const struct counters *c, size_t rule);

/* How many times the key has come, this one included, since its window began; no more
 * than COUNTERS_COUNT_MAX.  A window begins with the first time, and again with the
 * first after window_ms; 0: it never ends, nor does the count.  now_ms is monotonic time.
 * A key should be a siphash, of the rule too, and always come with the same window_ms.
 *
 * What it may get wrong.  For a key that has an entry: nothing, unless it is put out.
 * - Of keys that share a set of eight, the one not seen for the longest goes when a
 *   ninth comes (of several, the one seen least); when it comes again, it counts from 1.
 * - An arrival in the very instant in which its key is put out, or has been put in and
 *   not yet counted, may be counted for the key that takes the entry over: one too few
 *   for the one, one too many for the other.
 * - A process that is held up while it puts a new key in may put it in a second time, if
 *   another one has put it elsewhere meanwhile: then it counts from 1 again.
 * - A process that is killed has put out a key, or put one in, or neither; the arrival
 *   it was about to count is lost. */
uint64_t counters_count_key(
	struct counters *c, uint64_t key, uint64_t now_ms, uint64_t window_ms);

/* How many times the key has come in the window it is in, which changes nothing. */
uint64_t counters_seen_key(
	struct counters *c, uint64_t key, uint64_t now_ms, uint64_t window_ms);

#endif
