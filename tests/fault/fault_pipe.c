/* Each call of a delivery to a command fails, one after the other.
 *
 * Then: 250 only when the command was run, once for the message or for the recipient;
 * no run without the whole message; after any other reply a line in the log; no
 * descriptor lost, nothing left in the spool directory; and the next message goes
 * through.  In the place of the spawner a child looks at what it is given. */
#include "faults.h"
#include "mail.h"
#include "scene.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/ipc.h"
#include "base/log.h"
#include "delivery/spawn_request.h"
#include "smtp/envelope.h"

#define RECIPIENTS_MAX 3

#define BITS3(a, b, c) (FAULT_BIT(CALL_##a) | FAULT_BIT(CALL_##b) | FAULT_BIT(CALL_##c))

/* What a delivery may call. */
#define CALLS                                                                            \
	(BITS3(malloc, realloc, fchmod) | BITS3(write, read, copy_file_range) |          \
		BITS3(close, lseek, openat) |                                            \
		BITS3(unlinkat, memfd_create, socketpair) | BITS3(sendmsg, recv, poll))

/* What fails when a disk has died. */
#define DISK_CALLS (BITS3(write, openat, copy_file_range) | BITS3(fchmod, read, unlinkat))

struct pipe_case {
	const char *name;
	size_t recipients;
	size_t lines; /* of text; 0: one */
	bool is_per_recipient;
	bool has_own_headers; /* a Delivered-To for each run */
	bool is_lmtp;
	bool is_declared;
	bool is_aborted;
	struct fault weakness;
};

#define RECIPIENTS(n) .recipients = (n)
#define LARGE         .lines = 6000
#define WEAK(call, e, lasting)                                                           \
	.weakness = {.calls = FAULT_BIT(CALL_##call),                                    \
		.error = (e),                                                            \
		.nth = 1,                                                                \
		.is_lasting = (lasting)}

static const struct pipe_case cases[] = {
	{"pipe, in memory", RECIPIENTS(1)},
	{"pipe, in memory, aborted", RECIPIENTS(1), .is_aborted = true},
	{"pipe, on disk", RECIPIENTS(1), LARGE, .is_declared = true},
	{"pipe, moved", RECIPIENTS(1), LARGE},
	{"pipe, moved, without copy_file_range", RECIPIENTS(1), LARGE,
		WEAK(copy_file_range, EXDEV, true)},
	{"pipe, on disk, without O_TMPFILE", RECIPIENTS(1), LARGE, .is_declared = true,
		WEAK(openat, EOPNOTSUPP, false)},
	{"pipe, moved, aborted", RECIPIENTS(1), LARGE, .is_aborted = true},
	{"pipe, for all", RECIPIENTS(3)},
	{"pipe, for each", RECIPIENTS(3), .is_per_recipient = true},
	{"pipe, for each, lmtp", RECIPIENTS(3), .is_per_recipient = true,
		.is_lmtp = true},
	{"pipe, for each its own", RECIPIENTS(3), .is_per_recipient = true,
		.has_own_headers = true},
	{"pipe, for each its own, lmtp", RECIPIENTS(3), LARGE, .is_per_recipient = true,
		.has_own_headers = true, .is_lmtp = true},
};

/* What the child has seen: runs of the first message and of the next, for each
 * recipient; and messages that were neither. */
struct seen {
	unsigned runs[2][RECIPIENTS_MAX];
	unsigned broken;
};

struct bench {
	const struct pipe_case *c;
	struct scene scene;
	char spool_dir[64];
	struct delivery_settings settings;
	int spawn_fd;
	pid_t spawner;
	struct seen *seen;
	void *state;
	struct mail_text texts[2];
};

static const char *const addresses[RECIPIENTS_MAX] = {"a@x.test", "b@x.test", "c@y.test"};

/* ----------------------------------------------------- in place of the spawner */

/* Whether the file is what is stored of this text for this recipient. */
static bool is_stored(
	const struct bench *b, const struct mail_text *text, size_t i, struct str file)
{
	char header[64] = "";

	if (b->c->has_own_headers)
		(void)snprintf(
			header, sizeof(header), "Delivered-To: %s\n", addresses[i]);
	return file.n >= strlen(header) && memcmp(file.p, header, strlen(header)) == 0 &&
	       str_equal(str_skip(file, strlen(header)), str_of(text->stored));
}

static char *read_anew(int fd, size_t *ret_n)
{
	char path[40], *p;
	struct stat st;
	ssize_t got;
	int anew;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	anew = open(path, O_RDONLY | O_CLOEXEC);
	assert(anew >= 0 && fstat(anew, &st) == 0);
	p = malloc((size_t)st.st_size + 1);
	assert(p != NULL);
	*ret_n = 0;
	while ((got = fdio_read(anew, p + *ret_n, (size_t)st.st_size + 1 - *ret_n)) > 0)
		*ret_n += (size_t)got;
	(void)close(anew);
	return p;
}

static void note_run(const struct bench *b, struct str file, struct str recipient)
{
	for (size_t i = 0; i < RECIPIENTS_MAX; i++) {
		if (!str_equal(recipient, str_of(addresses[i])))
			continue;
		for (size_t k = 0; k < 2; k++) {
			if (!is_stored(b, &b->texts[k], i, file))
				continue;
			b->seen->runs[k][i]++;
			return;
		}
	}
	b->seen->broken++;
}

static void serve(const struct bench *b, int fd)
{
	static const struct spawn_answer answer = {250, "2.0.0", "Ok"};
	static char bytes[SPAWN_REQUEST_MAX];
	struct ipc_question q = {.p = bytes, .size = sizeof(bytes)};

	while (ipc_receive(fd, &q) == 0) {
		struct spawn_request r = {0};
		struct arena arena;
		size_t n = 0;
		char *p;

		arena_init(&arena, SIZE_MAX);
		assert(spawn_request_decode((struct str){bytes, q.n}, &arena, &r) == 0);
		assert(q.fd_count == 1);
		p = read_anew(q.fds[0], &n);
		for (size_t i = 0; i < r.recipient_count; i++)
			note_run(b, (struct str){p, n}, r.recipients[i]);
		free(p);
		arena_done(&arena);
		(void)ipc_answer(&q, &answer, sizeof(answer));
	}
}

static void start_spawner(struct bench *b)
{
	int helper;

	assert(ipc_open(&b->spawn_fd, &helper) == 0);
	b->spawner = fork();
	assert(b->spawner >= 0);
	if (b->spawner == 0) {
		(void)close(b->spawn_fd);
		serve(b, helper);
		_exit(0);
	}
	(void)close(helper);
}

static void stop_spawner(struct bench *b)
{
	int status;

	(void)fdio_close(&b->spawn_fd);
	CHECK(waitpid(b->spawner, &status, 0) == b->spawner && status == 0);
}

/* ------------------------------------------------------------------- a message */

static struct envelope make_envelope(
	const struct pipe_case *c, struct recipient *recipients, size_t length)
{
	static unsigned serial;
	struct envelope e = {
		.client = {.address = STR("192.0.2.7"),
			.port = 4711,
			.server = STR("mx.example.test"),
			.helo = STR("client.example.test"),
			.is_lmtp = c->is_lmtp},
		.stamp = {.unix_seconds = 1700000000},
		.sender = {.mailbox = STR("from@example.test")},
		.declared_size = c->is_declared ? length : 0,
		.recipients = recipients,
		.recipient_count = c->recipients,
	};

	(void)snprintf(e.stamp.id, sizeof(e.stamp.id), "%014x-00126f-9a3b", serial++);
	for (size_t i = 0; i < c->recipients; i++) {
		struct str s = str_of(addresses[i]);

		recipients[i].address = (struct address){s, {s.p, 1}, str_skip(s, 2)};
	}
	return e;
}

static int worst_code(const struct smtp_result *results, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (results[i].kind != RESULT_OK)
			return results[i].code;
	return 250;
}

/* From begin to prepare.  Returns the code. */
static int stage(const struct bench *b, const struct envelope *envelope, const char *text)
{
	size_t n = strlen(text), half = n / 2;
	struct smtp_result results[RECIPIENTS_MAX] = {0};
	struct smtp_result r = delivery_pipe.chunk(b->state, text, half);

	if (r.kind == RESULT_OK)
		r = delivery_pipe.chunk(b->state, text + half, n - half);
	if (r.kind != RESULT_OK)
		return r.code;
	delivery_pipe.prepare(b->state, results);
	return worst_code(results, envelope->recipient_count);
}

/* Fills codes: 0 after an abort.  Returns the worst, as 250 when all are. */
static int deliver(const struct bench *b, const char *text, bool is_aborted, int *codes)
{
	static const bool all[RECIPIENTS_MAX] = {true, true, true};
	const size_t n = b->c->recipients;
	struct recipient recipients[RECIPIENTS_MAX] = {0};
	struct smtp_result results[RECIPIENTS_MAX] = {0};
	bool keep[RECIPIENTS_MAX] = {false};
	struct envelope envelope = make_envelope(b->c, recipients, strlen(text));
	int code = delivery_pipe.begin(b->state, &envelope).code;
	bool has_begun = code == 250;

	if (has_begun)
		code = stage(b, &envelope, text);
	if (code == 250 && is_aborted)
		code = 0;
	for (size_t i = 0; i < n; i++)
		codes[i] = code;
	if (code == 250) {
		delivery_pipe.run(b->state, all, results);
		code = worst_code(results, n);
		for (size_t i = 0; i < n; i++) {
			codes[i] = results[i].code;
			keep[i] = codes[i] == 250 && (code == 250 || b->c->is_lmtp);
		}
		delivery_pipe.commit(b->state, keep, results);
	}
	if (has_begun)
		delivery_pipe.end(b->state, code == 0 ? NULL : keep);
	return code;
}

static unsigned count_spooled(const struct bench *b)
{
	DIR *d = opendir(b->spool_dir);
	unsigned n = 0;

	assert(d != NULL);
	for (const struct dirent *e; (e = readdir(d)) != NULL;) {
		if (e->d_name[0] == '.')
			continue;
		n++;
		(void)unlinkat(dirfd(d), e->d_name, 0);
	}
	(void)closedir(d);
	return n;
}

/* Interrupted and short calls are nobody's business. */
static bool is_unseen(const struct fault *fault)
{
	return !faults_has_struck() || fault->is_harmless;
}

static void check_first(const struct bench *b, const struct fault *fault, int code,
	const int *codes, unsigned logged)
{
	const int failure = fault->error == ENOSPC ? 452 : 451;

	if (is_unseen(fault))
		CHECK(code == (b->c->is_aborted ? 0 : 250));
	for (size_t i = 0; i < b->c->recipients; i++) {
		unsigned runs = b->seen->runs[0][i];

		CHECK(codes[i] == 250 || codes[i] == 0 || codes[i] == failure);
		/* An answer that got lost is a run whose client tries again. */
		CHECK(codes[i] == 250 ? runs == 1 : runs <= 1);
		CHECK(codes[i] != 0 || runs == 0);
	}
	CHECK(code == 250 || code == 0 ? logged == 0 : logged > 0);
}

static void run_case(void *user, const struct fault *fault)
{
	struct bench *b = user;
	const int fds[] = {b->spawn_fd};
	const struct delivery_env env = {.spool_dir = b->spool_dir, .spawn_fds = fds};
	unsigned before = scene_descriptors(), logged;
	int codes[RECIPIENTS_MAX] = {0}, next[RECIPIENTS_MAX] = {0}, code;

	scene_clear(&b->scene, false);
	*b->seen = (struct seen){0};
	CHECK(delivery_pipe.open(&b->settings, 0, &env, &b->state) == 0);
	faults_arm(fault, &b->c->weakness);
	code = deliver(b, b->texts[0].sent, b->c->is_aborted, codes);
	faults_disarm();
	logged = scene_logged(&b->scene, "delivery.failed");
	/* When this has its answer, the child has also seen all that came before. */
	CHECK(deliver(b, b->texts[1].sent, false, next) == 250);
	for (size_t i = 0; i < b->c->recipients; i++)
		CHECK(b->seen->runs[1][i] == 1);
	CHECK(b->seen->broken == 0);
	check_first(b, fault, code, codes, logged);
	delivery_pipe.close(b->state);
	/* An empty file that could not be removed is in the log. */
	CHECK(count_spooled(b) <=
		((fault->calls & FAULT_BIT(CALL_unlinkat)) != 0 ? logged : 0));
	CHECK(scene_descriptors() == before);
}

static void make_settings(struct bench *b)
{
	static const char *const command[] = {"/bin/handler", NULL};

	b->settings = (struct delivery_settings){
		.name = "handler",
		.backend = &delivery_pipe,
		.hostname = "mx.example.test",
		.is_required = true,
		.headers = {b->c->has_own_headers ? HEADER_DELIVERED_TO : 0},
		.pipe = {.command = command,
			.timeout_ms = 60000,
			.max_running = 1,
			.is_per_recipient = b->c->is_per_recipient},
	};
	(void)snprintf(b->spool_dir, sizeof(b->spool_dir), "%s/spool", b->scene.dir);
	CHECK(mkdir(b->spool_dir, 0700) == 0);
	b->seen = mmap(NULL, sizeof(*b->seen), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert(b->seen != MAP_FAILED);
}

static void sweep_case(const struct pipe_case *c)
{
	static const struct fault none;
	const struct scene_settings settings = {.is_discard = true};
	struct bench b = {
		.c = c,
		.texts = {mail_text_make("the first", c->lines == 0 ? 1 : c->lines),
			mail_text_make("the next", 1)},
	};

	scene_open(&b.scene, &settings);
	(void)log_open(b.scene.config->log_target, LOG_FORMAT_TEXT, LOG_INFO);
	make_settings(&b);
	start_spawner(&b);
	run_case(&b, &none);
	faults_sweep(c->name, CALLS & ~(c->weakness.is_lasting ? c->weakness.calls : 0),
		run_case, &b);
	faults_sweep_lasting(c->name, DISK_CALLS, EIO, run_case, &b);
	stop_spawner(&b);
	(void)log_open(NULL, LOG_FORMAT_TEXT, LOG_INFO);
	scene_close(&b.scene);
	(void)munmap(b.seen, sizeof(*b.seen));
	mail_text_free(&b.texts[0]);
	mail_text_free(&b.texts[1]);
}

int main(void)
{
	faults_init();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		sweep_case(&cases[i]);
	return faults_conclude(CALLS);
}
