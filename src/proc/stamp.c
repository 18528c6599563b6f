/* Ids of messages and sessions; see stamp.h.  Runs in workers. */
#include "proc/stamp.h"

#include <errno.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"

int stamp_init(struct stamper *s)
{
	if (getrandom(&s->random, sizeof(s->random), 0) != sizeof(s->random))
		return -EIO;
	s->random |= 1;
	s->pid = (unsigned)getpid();
	return 0;
}

/* xorshift64: tells names of one microsecond apart, no secret depends on it. */
static unsigned next_random(struct stamper *s)
{
	s->random ^= s->random << 13;
	s->random ^= s->random >> 7;
	s->random ^= s->random << 17;
	return (unsigned)s->random;
}

/* The low digits of value in hexadecimal; returns the place behind them. */
static char *add_hex(char *p, unsigned digits, uint64_t value)
{
	for (unsigned i = digits; i > 0; value >>= 4)
		p[--i] = "0123456789abcdef"[value & 15];
	return p + digits;
}

void stamp_mint(struct stamper *s, struct message_stamp *ret)
{
	uint64_t now_us = clock_wall_us();
	char *p = ret->id;

	if (now_us <= s->last_us)
		now_us = s->last_us + 1;
	s->last_us = now_us;
	p = add_hex(p, 14, now_us);
	*p++ = '-';
	p = add_hex(p, 6, s->pid);
	*p++ = '-';
	p = add_hex(p, 4, next_random(s));
	*p = '\0';
	ret->unix_seconds = now_us / 1000000;
}
