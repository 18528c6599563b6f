/* A bench for delivery/pipe: a spool directory, a deliver section, messages that go the
 * way the engine sends them, and in the place of the spawner a child that notes what it
 * is asked and gives the answers it was told to. */
#ifndef SINKD_TESTS_PIPE_FIXTURE_H
#define SINKD_TESTS_PIPE_FIXTURE_H

#include <CUnit/CUnit.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/str.h"
#include "delivery/delivery.h"
#include "delivery/spawn_request.h"
#include "smtp/envelope.h"

#define BENCH_QUESTIONS  8
#define BENCH_RECIPIENTS 20000

/* A message as it comes, and as it is stored with line ends LF. */
#define PIPE_TEXT    "Subject: x\r\n\r\ntext\r\n"
#define PIPE_TEXT_LF "Subject: x\n\ntext\n"

/* What the spawner does with a question. */
enum deed {
	DEED_ANSWER,
	DEED_ANSWER_SHORT, /* a byte less */
	DEED_ANSWER_LONG,  /* a byte more */
	DEED_DROP,
	DEED_DIE,
	DEED_ANSWER_LATE, /* when it has the next question */
};

struct plan {
	enum deed deed;
	struct spawn_answer answer;
};

/* What came with a question; texts are cut, or empty. */
struct question {
	int error; /* of decoding */
	uint32_t section;
	unsigned port;
	bool has_size; /* that of the envelope */
	size_t recipient_count;
	char recipients[200]; /* with a blank after each */
	/* sender, client address, helo, user, listener, message id, envid, protocol, TLS
	 * version, cipher and subject, local part, domain; with "|" between */
	char texts[600];
	/* The message, opened anew. */
	size_t fd_count;
	mode_t mode;
	bool has_name;
	bool is_writable;
	bool is_in_memory;
	uint64_t size_bytes;
	uint64_t hash;
	char message[300]; /* its beginning */
};

/* What the child shares with the test. */
struct notes {
	size_t count; /* of questions */
	struct question questions[BENCH_QUESTIONS];
};

struct bench {
	char dir[32]; /* the spool directory is "spool" in it, the log "log" */
	char spool_dir[64];
	struct delivery_settings settings;
	const char *command[8];
	struct delivery_env env;
	int spawn_fds[3]; /* the section is the last of three */
	void *state;
	struct envelope envelope;
	struct smtp_result *results;
	bool *keep;
	struct notes *notes; /* to be looked at after bench_stop_spawner */
	pid_t spawner;
	unsigned descriptors;
};

/* A new directory; a section "handler" with the program "/bin/handler", and an envelope
 * with one recipient.  Without a spawner nobody answers. */
void bench_start(struct bench *b);
void bench_open(struct bench *b);
/* The questions get these answers, one after the other; those beyond success. */
void bench_start_spawner(struct bench *b, const struct plan *plan, size_t n);
/* Wait until it has seen all questions. */
void bench_stop_spawner(struct bench *b);
/* Also checks that no descriptor and no file is left. */
void bench_finish(struct bench *b);

void bench_set_recipients(struct bench *b, size_t n, const char *const *addresses);

/* Steps of a message; return the one code for all kept recipients, -1 if they differ.
 * deliver goes all the way, with chunks of that size, and ends where delivery would. */
int bench_begin(struct bench *b);
int bench_write(struct bench *b, struct str text, size_t chunk_size);
int bench_prepare(struct bench *b);
int bench_run(struct bench *b);
void bench_end(struct bench *b);
int bench_deliver(struct bench *b, struct str text, size_t chunk_size);
int bench_deliver_short(struct bench *b);

/* All of the above with one section: open, one short message, finish.  Returns the
 * code. */
int bench_pass(struct bench *b, const struct plan *plan, size_t n);

/* For comparison with that of a question. */
uint64_t bench_hash(struct str s);

unsigned bench_logged(const struct bench *b, const char *what);

/* The tests in test_pipe_text.c and test_pipe_faults.c, for the same suite. */
void add_pipe_text(CU_pSuite s);
void add_pipe_faults(CU_pSuite s);

#endif
