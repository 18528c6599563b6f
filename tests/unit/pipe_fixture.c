/* The bench for pipe; see pipe_fixture.h. */
#include "pipe_fixture.h"

#include "unit.h"

#include <dirent.h>
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

#define ID "00064b1e2f3a5c-00126f-9a3b"

static struct recipient recipients[BENCH_RECIPIENTS];
static struct smtp_result results[BENCH_RECIPIENTS];
static bool keep[BENCH_RECIPIENTS];

/* ----------------------------------------------------- in place of the spawner */

uint64_t bench_hash(struct str s)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < s.n; i++)
		hash = (hash ^ (uint8_t)s.p[i]) * UINT64_C(0x100000001b3);
	return hash;
}

/* As the spawner does it: the descriptor is opened anew, from the start. */
static void note_message(struct question *q, int fd)
{
	char path[40], link[100] = "", *all;
	struct stat st;
	size_t n = 0;
	ssize_t got;
	int anew;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	anew = open(path, O_RDONLY | O_CLOEXEC);
	if (anew < 0 || fstat(fd, &st) < 0 || readlink(path, link, sizeof(link) - 1) < 0)
		return;
	q->mode = st.st_mode;
	q->has_name = st.st_nlink > 0;
	q->is_writable = (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY;
	q->is_in_memory = strstr(link, "memfd:sinkd-message") != NULL;
	q->size_bytes = (uint64_t)st.st_size;
	all = calloc(1, (size_t)st.st_size + 1);
	while (all != NULL &&
		(got = fdio_read(anew, all + n, (size_t)st.st_size - n)) > 0)
		n += (size_t)got;
	q->hash = bench_hash((struct str){all, n});
	(void)snprintf(q->message, sizeof(q->message), "%s", all);
	free(all);
	(void)close(anew);
}

static void note_texts(struct question *q, const struct spawn_request *r)
{
	const struct str texts[] = {r->sender, r->client_address, r->helo, r->user,
		r->listener, r->message_id, r->envid, r->protocol, r->tls_version,
		r->tls_cipher, r->tls_subject, r->local, r->domain};
	struct buf all;

	buf_init(&all, sizeof(q->texts) - 1);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		(void)buf_add_text(&all, i == 0 ? "" : "|");
		(void)buf_add_str(&all, texts[i]);
	}
	if (all.len > 0)
		memcpy(q->texts, all.p, all.len);
	buf_reset(&all);
	for (size_t i = 0; i < r->recipient_count && !all.has_overflowed; i++)
		(void)buf_add_format(&all, "%.*s ", STR_ARG(r->recipients[i]));
	(void)snprintf(
		q->recipients, sizeof(q->recipients), "%.*s", STR_ARG(buf_str(&all)));
	buf_done(&all);
}

static void note(struct question *q, const struct ipc_question *asked)
{
	struct str bytes = {asked->p, asked->n};
	struct spawn_request r = {0};
	struct arena arena;

	arena_init(&arena, SIZE_MAX);
	q->error = spawn_request_decode(bytes, &arena, &r);
	q->section = r.section;
	q->port = r.client_port;
	q->has_size = r.size_bytes == 4711;
	q->recipient_count = r.recipient_count;
	if (q->error == 0)
		note_texts(q, &r);
	q->fd_count = asked->fd_count;
	if (asked->fd_count > 0)
		note_message(q, asked->fds[0]);
	arena_done(&arena);
}

static void act(struct ipc_question *q, const struct plan *plan)
{
	union {
		struct spawn_answer answer;
		char bytes[sizeof(struct spawn_answer) + 1];
	} u = {.answer = plan->answer};
	size_t n = sizeof(u.answer);

	if (plan->deed == DEED_DROP)
		ipc_drop(q);
	else if (plan->deed == DEED_DIE)
		_exit(0);
	else
		(void)ipc_answer(q, u.bytes,
			plan->deed == DEED_ANSWER_SHORT  ? n - 1
			: plan->deed == DEED_ANSWER_LONG ? n + 1
							 : n);
}

static void serve(int fd, struct notes *notes, const struct plan *plan, size_t n)
{
	static const struct plan success = {DEED_ANSWER, {250, "2.0.0", "Ok"}};
	static char bytes[2][SPAWN_REQUEST_MAX];
	struct ipc_question q, late = {.answer_fd = -1};
	const struct plan *late_plan = NULL;

	for (size_t i = 0;; i++) {
		const struct plan *step = i < n ? &plan[i] : &success;

		q = (struct ipc_question){
			.p = bytes[i % 2], .size = SPAWN_REQUEST_MAX, .answer_fd = -1};
		if (ipc_receive(fd, &q) < 0)
			break;
		if (i < BENCH_QUESTIONS)
			note(&notes->questions[i], &q);
		notes->count = i + 1;
		if (late_plan != NULL)
			act(&late, late_plan);
		late_plan = step->deed == DEED_ANSWER_LATE ? step : NULL;
		if (late_plan != NULL)
			late = q;
		else
			act(&q, step);
	}
	if (late_plan != NULL)
		act(&late, late_plan);
}

void bench_start_spawner(struct bench *b, const struct plan *plan, size_t n)
{
	int helper;

	CU_ASSERT_FATAL(ipc_open(&b->spawn_fds[2], &helper) == 0);
	b->spawner = fork();
	if (b->spawner == 0) {
		(void)close(b->spawn_fds[2]);
		serve(helper, b->notes, plan, n);
		_exit(0);
	}
	CU_ASSERT_FATAL(b->spawner > 0);
	(void)close(helper);
}

void bench_stop_spawner(struct bench *b)
{
	(void)fdio_close(&b->spawn_fds[2]);
	if (b->spawner > 0)
		CU_ASSERT_EQUAL(waitpid(b->spawner, NULL, 0), b->spawner);
	b->spawner = 0;
}

/* ----------------------------------------------------------------- the section */

static unsigned count_entries(const char *path)
{
	DIR *d = opendir(path);
	unsigned n = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(d);
	while (readdir(d) != NULL)
		n++;
	(void)closedir(d);
	return n;
}

static void set_envelope(struct bench *b)
{
	b->envelope = (struct envelope){
		.client = {.address = STR("192.0.2.7"),
			.port = 4711,
			.listener = STR("mx"),
			.server = STR("mx.example.test"),
			.helo = STR("client.example.test"),
			.is_esmtp = true},
		.stamp = {.id = ID, .unix_seconds = 1700000000},
		.sender = {.mailbox = STR("from@example.test")},
		.recipients = recipients,
		.size_bytes = 4711,
	};
}

void bench_set_recipients(struct bench *b, size_t n, const char *const *addresses)
{
	b->envelope.recipient_count = n;
	for (size_t i = 0; i < n; i++) {
		struct str s = str_of(addresses[i]);
		const char *sign = strrchr(addresses[i], '@');
		size_t length = sign == NULL ? s.n : (size_t)(sign - s.p);

		recipients[i].address =
			(struct address){s, {s.p, length}, str_skip(s, length + 1)};
	}
}

void bench_start(struct bench *b)
{
	static const char *const address = "joe+x@example.test";
	char path[64];

	*b = (struct bench){.dir = "/tmp/sinkd-unit-XXXXXX",
		.spawn_fds = {-1, -1, -1},
		.command = {"/bin/handler"},
		.results = results,
		.keep = keep};
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(b->dir));
	(void)snprintf(b->spool_dir, sizeof(b->spool_dir), "%s/spool", b->dir);
	CU_ASSERT_EQUAL_FATAL(mkdir(b->spool_dir, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/log", b->dir);
	CU_ASSERT_EQUAL(log_open(path, LOG_FORMAT_TEXT, LOG_INFO), 0);
	b->notes = mmap(NULL, sizeof(*b->notes), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CU_ASSERT_FATAL(b->notes != MAP_FAILED);
	b->settings = (struct delivery_settings){
		.name = "handler",
		.backend = &delivery_pipe,
		.hostname = "mx.example.test",
		.is_required = true,
		.pipe = {.command = b->command, .timeout_ms = 10000, .max_running = 1},
	};
	b->env = (struct delivery_env){
		.spool_dir = b->spool_dir, .spawn_fds = b->spawn_fds};
	set_envelope(b);
	bench_set_recipients(b, 1, &address);
	for (size_t i = 0; i < BENCH_RECIPIENTS; i++)
		keep[i] = true;
	b->descriptors = count_entries("/proc/self/fd");
}

void bench_open(struct bench *b)
{
	CU_ASSERT_EQUAL_FATAL(delivery_pipe.open(&b->settings, 2, &b->env, &b->state), 0);
}

void bench_finish(struct bench *b)
{
	char path[64];

	delivery_pipe.close(b->state);
	bench_stop_spawner(b);
	CU_ASSERT_EQUAL(count_entries("/proc/self/fd"), b->descriptors);
	CU_ASSERT_EQUAL(log_open(NULL, LOG_FORMAT_TEXT, LOG_INFO), 0);
	(void)munmap(b->notes, sizeof(*b->notes));
	(void)snprintf(path, sizeof(path), "%s/log", b->dir);
	CU_ASSERT_EQUAL(unlink(path), 0);
	/* Which they can be only when they are empty. */
	CU_ASSERT_EQUAL(rmdir(b->spool_dir), 0);
	CU_ASSERT_EQUAL(rmdir(b->dir), 0);
}

/* ------------------------------------------------------------------ a message */

static int common_code(const struct bench *b)
{
	int code = 0;

	for (size_t i = 0; i < b->envelope.recipient_count; i++) {
		if (keep[i] && code != 0 && results[i].code != code)
			return -1;
		if (keep[i])
			code = results[i].code;
	}
	return code;
}

int bench_begin(struct bench *b)
{
	memset(results, 0, sizeof(results));
	return delivery_pipe.begin(b->state, &b->envelope).code;
}

int bench_write(struct bench *b, struct str text, size_t chunk_size)
{
	int code = 250;

	while (code == 250 && text.n > 0) {
		size_t n = text.n < chunk_size ? text.n : chunk_size;

		code = delivery_pipe.chunk(b->state, text.p, n).code;
		text = str_skip(text, n);
	}
	return code;
}

int bench_prepare(struct bench *b)
{
	delivery_pipe.prepare(b->state, results);
	return common_code(b);
}

int bench_run(struct bench *b)
{
	delivery_pipe.run(b->state, keep, results);
	return common_code(b);
}

void bench_end(struct bench *b)
{
	delivery_pipe.end(b->state, NULL);
}

int bench_deliver(struct bench *b, struct str text, size_t chunk_size)
{
	int code = bench_begin(b);

	if (code != 250)
		return code;
	code = bench_write(b, text, chunk_size);
	if (code == 250)
		code = bench_prepare(b);
	if (code == 250)
		code = bench_run(b);
	if (code == 250) {
		delivery_pipe.commit(b->state, keep, results);
		code = common_code(b);
	}
	delivery_pipe.end(b->state, code == 250 ? keep : NULL);
	return code;
}

int bench_deliver_short(struct bench *b)
{
	return bench_deliver(b, STR(PIPE_TEXT), SIZE_MAX);
}

int bench_pass(struct bench *b, const struct plan *plan, size_t n)
{
	int code;

	bench_start_spawner(b, plan, n);
	bench_open(b);
	code = bench_deliver_short(b);
	bench_stop_spawner(b);
	return code;
}

unsigned bench_logged(const struct bench *b, const char *what)
{
	char path[64], line[2100];
	unsigned n = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/log", b->dir);
	f = fopen(path, "re");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	while (fgets(line, sizeof(line), f) != NULL)
		n += strstr(line, what) != NULL;
	(void)fclose(f);
	return n;
}
