/* See module_fixture.h. */
#include "module_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/log.h"
#include "policy/stack.h"
#include "proc/counters.h"
#include "unit.h"

static char log_file[] = "/tmp/sinkd-module-XXXXXX";
static struct counters *counters;
static int counters_fd;
static uint64_t time_ms = 1000000;

static uint64_t count(void *user, uint64_t key, uint64_t window_ms)
{
	(void)user;
	return counters_count_key(counters, key, time_ms, window_ms);
}

static uint64_t seen(void *user, uint64_t key, uint64_t window_ms)
{
	(void)user;
	return counters_seen_key(counters, key, time_ms, window_ms);
}

static uint32_t find_route(void *user, struct str name)
{
	(void)user;
	return str_equal(name, STR("away")) ? 7 : 0;
}

static const struct module_env env = {
	.secret = {1, 2},
	.count = count,
	.seen = seen,
	.find_route = find_route,
};

const struct module_env *module_env(void)
{
	return &env;
}

void module_set_time(uint64_t now_ms)
{
	time_ms = now_ms;
}

const char *module_file(const char *path)
{
	static char texts[4][512];
	static unsigned next;
	const char *build = getenv("abs_top_builddir");
	char *text = texts[next++ % 4];

	(void)snprintf(
		text, sizeof(texts[0]), "%s/%s", build != NULL ? build : ".", path);
	return text;
}

int module_begin(void)
{
	int fd = mkstemp(log_file);

	(void)fdio_close(&fd);
	log_note_process();
	return log_open(log_file, LOG_FORMAT_TEXT, LOG_DEBUG) < 0 ||
	       counters_create(&counters, &counters_fd) < 0;
}

int module_end(void)
{
	(void)fdio_close(&counters_fd);
	(void)log_open(NULL, LOG_FORMAT_TEXT, LOG_INFO);
	return unlink(log_file);
}

/* Cut a line of the log down to what a module has said. */
static size_t cut(const char *line, size_t n, char *out, size_t size)
{
	const char *text = memmem(line, n, " text=", 6);
	size_t length;

	if (text == NULL)
		return 0;
	text += 6;
	length = n - (size_t)(text - line);
	if (length > 1 && text[0] == '"') {
		text++;
		length -= 2;
	}
	CU_ASSERT_FATAL(length + 1 < size);
	memcpy(out, text, length);
	out[length] = '\n';
	return length + 1;
}

const char *module_said(void)
{
	static char raw[65536], texts[65536];
	int fd = open(log_file, O_RDWR | O_CLOEXEC);
	ssize_t n = read(fd, raw, sizeof(raw) - 1);
	size_t used = 0;
	char *end;

	CU_ASSERT_FATAL(n >= 0);
	CU_ASSERT(ftruncate(fd, 0) == 0);
	(void)fdio_close(&fd);
	raw[n] = '\0';
	for (char *line = raw; (end = strchr(line, '\n')) != NULL; line = end + 1)
		used += cut(
			line, (size_t)(end - line), texts + used, sizeof(texts) - used);
	texts[used] = '\0';
	return texts;
}

const char *module_load_error(const struct module_settings *settings)
{
	static char error[MODULE_ERROR_SIZE];
	struct stack *stack = stack_new(MODULES_LAYERS(1));
	struct modules *modules = NULL;

	error[0] = '\0';
	if (modules_load(settings, 1, &env, stack, 0, error, &modules) == 0)
		modules_free(modules);
	stack_free(stack);
	return error;
}

void module_bench_init(
	struct module_bench *b, const struct module_settings *settings, size_t n)
{
	char error[MODULE_ERROR_SIZE] = "";

	*b = (struct module_bench){.env = env};
	b->stack = stack_new(MODULES_LAYERS(n));
	CU_ASSERT_PTR_NOT_NULL_FATAL(b->stack);
	if (modules_load(settings, n, &b->env, b->stack, 0, error, &b->modules) < 0) {
		CHECK_STR("load", str_of(error), STR(""));
		CU_FAIL_FATAL("a module is not loaded");
	}
	rig_init(&b->rig);
	/* The rig has hooks of its own; after a session without any, the engine is there
	 * to be given others. */
	b->rig.hooks = (struct sinkd_hooks){0};
	rig_start(&b->rig);
	rig_end(&b->rig);
	rig_forget(&b->rig);
	b->rig.env.hooks = stack_top(b->stack);
}

void module_bench_done(struct module_bench *b)
{
	rig_done(&b->rig);
	modules_free(b->modules);
	stack_free(b->stack);
}

const char *module_bench_talk(struct module_bench *b, const char *text)
{
	static char output[16384];

	rig_forget(&b->rig);
	rig_start(&b->rig);
	rig_say(&b->rig, text);
	rig_end(&b->rig);
	(void)str_copy(output, sizeof(output), rig_output(&b->rig));
	return output;
}
