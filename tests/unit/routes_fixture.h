/* A bench for messages whose recipients go different ways: spies in the place of deliver
 * sections, what fails in them, and what must become of each recipient then.
 *
 * A test goes open_sections, changes to `current`, send_message, is_right,
 * close_sections. */
#ifndef SINKD_TESTS_ROUTES_FIXTURE_H
#define SINKD_TESTS_ROUTES_FIXTURE_H

#include "delivery/delivery.h"

#include <stdbool.h>
#include <stddef.h>

#define TO  3 /* recipients at the most */
#define ALL TO

/* Two that store, one that runs something, and one that is not required. */
enum { A, B, R, O, SECTIONS };

enum step { BEGIN, CHUNK, PREPARE, RUN, COMMIT, STEPS };

/* Where a recipient goes: the number of its route, or nowhere, by a hook of RCPT or, with
 * LMTP, by one behind the text. */
enum fate { USUAL, OTHER, THIRD, DISCARDED, DISCARDED_LATE, FATES };

/* What fails, and for whom (ALL); begin and chunk do so for all. */
struct fault {
	size_t section;
	enum step step;
	size_t who;
	int code; /* 0: nothing */
};

/* The case in hand. */
struct routes_case {
	size_t n;
	enum fate fates[TO];
	bool is_lmtp;
	struct fault faults[2];
};
extern struct routes_case current;

/* What the sections were told: "a.prepare-xy " of recipients x and y. */
extern char order[400];

struct delivery *open_sections(void);
void close_sections(struct delivery *d);

/* The envelope of the case, in `envelope` of maildir_fixture.h. */
void prepare_case(void);

/* Send it the way the engine does. */
void send_message(struct delivery *d);

/* Whether everybody was told what is right, and everything is where it must be, and
 * nowhere else. */
bool is_right(void);

#endif
