/* The bench for maildirs; see maildir_fixture.h. */
#include "maildir_fixture.h"

#include "unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

struct delivery_settings settings;
struct envelope envelope;
struct smtp_result results[RECIPIENTS];
bool keep[RECIPIENTS];
void *state;
const struct delivery_backend *const backend = &delivery_maildir;

static char dir[32];
static char template[PATH_MAX];
static struct recipient recipients[RECIPIENTS];

const char *at(const char *path)
{
	static char paths[4][PATH_MAX];
	static unsigned next;
	char *p = paths[next++ % 4];

	(void)snprintf(p, PATH_MAX, "%s/%s", dir, path);
	return p;
}

static int remove_one(
	const char *path, const struct stat *st, int type, struct FTW *position)
{
	(void)st;
	(void)type;
	(void)position;
	return remove(path);
}

void remove_tree(const char *path)
{
	(void)nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

int count(const char *path)
{
	DIR *d = opendir(at(path));
	int n = 0;

	if (d == NULL)
		return -1;
	for (const struct dirent *e; (e = readdir(d)) != NULL;)
		n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	(void)closedir(d);
	return n;
}

void check_counts(const char *name, const char *mailbox, int tmp, int new)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/tmp", mailbox);
	CHECK(name, count(path) == tmp);
	(void)snprintf(path, sizeof(path), "%s/new", mailbox);
	CHECK(name, count(path) == new);
}

void check_file(const char *name, const char *path, struct str expected)
{
	char *p = malloc(expected.n + 2);
	FILE *f = fopen(at(path), "r");
	size_t n = 0;

	if (CHECK(name, f != NULL) && p != NULL)
		n = fread(p, 1, expected.n + 1, f);
	CHECK_STR(name, ((struct str){p, n}), expected);
	if (f != NULL)
		(void)fclose(f);
	free(p);
}

void make_file(const char *path)
{
	int fd = open(at(path), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	CU_ASSERT_TRUE(fd >= 0);
	(void)close(fd);
}

int logged_lines(void)
{
	FILE *f = fopen(at("log"), "r");
	int lines = 0, c;

	while (f != NULL && (c = getc(f)) != EOF)
		lines += c == '\n';
	if (f != NULL)
		(void)fclose(f);
	return lines;
}

void start(const char *path)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/sinkd-unit-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	(void)snprintf(template, sizeof(template), "%s/%s", dir, path);
	settings = (struct delivery_settings){
		.name = "inbox",
		.backend = backend,
		.hostname = "mx.example.test",
		.path = template,
		.has_sync = true,
		.file_mode = 0600,
	};
	CU_ASSERT_EQUAL(log_open(at("log"), LOG_FORMAT_TEXT, LOG_INFO), 0);
}

int open_state(void)
{
	static const struct delivery_env none;

	return backend->open(&settings, 0, &none, &state);
}

void open_section(void)
{
	CU_ASSERT_EQUAL_FATAL(open_state(), 0);
}

void finish_mail(void)
{
	backend->close(state);
	state = NULL;
	CU_ASSERT_EQUAL(log_open(NULL, LOG_FORMAT_TEXT, LOG_INFO), 0);
	remove_tree(dir);
}

void set_envelope(size_t n, const char *const *addresses)
{
	envelope = (struct envelope){
		.client = {.address = STR("192.0.2.7"),
			.port = 4711,
			.server = STR("mx.example.test"),
			.helo = STR("client.example.test")},
		.stamp = {.id = ID, .unix_seconds = 1700000000},
		.sender = {.mailbox = STR("from@example.test")},
		.recipients = recipients,
		.recipient_count = n,
	};
	for (size_t i = 0; i < n; i++) {
		struct str s = str_of(addresses[i]);
		const char *sign = strrchr(addresses[i], '@');
		size_t length = sign == NULL ? s.n : (size_t)(sign - s.p);

		recipients[i] = (struct recipient){
			.address = {s, {s.p, length}, str_skip(s, length + 1)}};
	}
	for (size_t i = 0; i < RECIPIENTS; i++)
		keep[i] = true;
}

void set_recipient(const char *address)
{
	set_envelope(1, &address);
}

/* The one reply for all kept recipients; -1 if they differ. */
static int common_code(void)
{
	int code = 0;

	for (size_t i = 0; i < envelope.recipient_count; i++) {
		if (keep[i] && code != 0 && results[i].code != code)
			return -1;
		if (keep[i])
			code = results[i].code;
	}
	return code;
}

int write_message(struct str text, size_t chunk_size)
{
	struct smtp_result r = backend->begin(state, &envelope);

	if (r.kind != RESULT_OK)
		return r.code;
	while (text.n > 0) {
		size_t n = text.n < chunk_size ? text.n : chunk_size;

		r = backend->chunk(state, text.p, n);
		if (r.kind != RESULT_OK) {
			end(false);
			return r.code;
		}
		text = str_skip(text, n);
	}
	return 250;
}

int prepare(void)
{
	memset(results, 0, sizeof(results));
	backend->prepare(state, results);
	return common_code();
}

int commit(void)
{
	memset(results, 0, sizeof(results));
	backend->commit(state, keep, results);
	return common_code();
}

void end(bool is_kept)
{
	backend->end(state, is_kept ? keep : NULL);
}

int deliver(struct str text, size_t chunk_size)
{
	int code = write_message(text, chunk_size);

	if (code != 250)
		return code;
	code = prepare();
	if (code == 250)
		code = commit();
	end(code == 250);
	return code;
}

int deliver_short(void)
{
	return deliver(STR(MESSAGE), SIZE_MAX);
}
