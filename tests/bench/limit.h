/* What the limits have in common: programs that do only what a delivery cannot do
 * without, as fast as the machine allows, so that a server can be held against them. */
#ifndef SINKD_BENCH_LIMIT_H
#define SINKD_BENCH_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

struct limit_options {
	uint64_t at_once;
	uint64_t size_bytes; /* of a message */
	uint64_t seconds;    /* nothing is begun after them, */
	uint64_t total;      /* or once so many were; 0: no limit */
	char **rest;         /* the arguments that are no options, at least one */
};

/* Read [-c AT-ONCE] [-s SIZE] [-t SECONDS] [-n TOTAL] and what follows; what is not
 * given stays as it is in *o.  Ends the program for wrong ones; usage: what to say. */
void limit_take_options(
	int argc, char **argv, const char *usage, struct limit_options *o);

/* Whether one more may begin, after so many, for somebody who began at start_us. */
bool limit_allows(const struct limit_options *o, uint64_t begun, uint64_t start_us);

/* A message of so many octets; ends the program when there is no memory. */
char *limit_make_message(uint64_t size_bytes);

/* Say as JSON how many messages were done, and how many a second. */
void limit_report(uint64_t messages, uint64_t took_us);

/* End the program because of errno. */
_Noreturn void limit_fail(const char *what);

#endif
