/* Plays transcripts: to the engine in memory, or to a server that runs.
 *
 *   transcript FILE...                             engine: whole, bytes, at once
 *   transcript --live HOST:PORT --maildir DIR FILE  a server, over TCP
 *   transcript --config FILE       the sections limits and auth that it needs
 *   transcript --listener FILE     and what its section listen has to hold
 *
 * Prints one line per transcript and mode, then the count; differences go to
 * stderr.  Exit status 0 when all passed, 1 when not, 2 for wrong usage. */
#include <stdio.h>
#include <string.h>

#include "live.h"
#include "play.h"
#include "rig.h"
#include "script.h"

enum feeding { FEED_WHOLE, FEED_BYTES, FEED_AT_ONCE };

static const char *const feeding_names[] = {"whole", "bytes", "at-once"};

struct bench {
	const struct script *script;
	struct rig rig;
	enum feeding feeding;
	bool has_sent;
	bool has_ended;
	size_t read;
};

static unsigned passed_count;
static unsigned failed_count;

static void bench_send(void *user, struct str bytes)
{
	struct bench *b = user;
	bool is_first = !b->has_sent;

	b->has_sent = true;
	if (b->feeding == FEED_BYTES) {
		for (size_t i = 0; i < bytes.n; i++)
			rig_feed(&b->rig, bytes.p + i, 1);
	} else if (b->feeding == FEED_WHOLE) {
		rig_feed(&b->rig, bytes.p, bytes.n);
	} else if (is_first) {
		struct buf all;

		buf_init(&all, (size_t)64 << 20);
		for (size_t i = 0; i < b->script->step_count; i++) {
			if (b->script->steps[i].kind == STEP_SEND)
				(void)buf_add_str(
					&all, buf_str(&b->script->steps[i].bytes));
		}
		rig_feed(&b->rig, all.p, all.len);
		buf_done(&all);
	}
}

static bool bench_line(void *user, struct str *ret)
{
	struct bench *b = user;
	struct str rest = str_skip(rig_output(&b->rig), b->read);
	const char *end = rest.n == 0 ? NULL : memmem(rest.p, rest.n, "\r\n", 2);

	if (end == NULL)
		return false;
	*ret = (struct str){rest.p, (size_t)(end - rest.p)};
	b->read += ret->n + 2;
	return true;
}

static bool bench_is_silent(void *user)
{
	const struct bench *b = user;

	return b->read == b->rig.output.len && !b->rig.is_over;
}

static bool bench_start_tls(void *user)
{
	struct bench *b = user;

	if (b->rig.is_over || smtp_next(b->rig.engine) != SMTP_STARTTLS)
		return false;
	rig_start_tls(&b->rig);
	return true;
}

static void bench_disconnect(void *user)
{
	struct bench *b = user;

	if (b->has_ended)
		return;
	b->has_ended = true;
	rig_notify(&b->rig, SMTP_END_OF_STREAM);
	rig_end(&b->rig);
}

static bool bench_is_closed(void *user)
{
	const struct bench *b = user;

	return b->read == b->rig.output.len && b->rig.is_over;
}

static size_t bench_stored(void *user, size_t index, struct str *ret)
{
	const struct bench *b = user;

	if (ret != NULL && index < b->rig.message_count)
		*ret = (struct str){b->rig.messages[index].p, b->rig.messages[index].n};
	return b->rig.message_count;
}

static void report(const struct script *s, const char *mode, bool is_good)
{
	const char *slash = strrchr(s->path, '/');

	(void)printf("%s %s %s\n", is_good ? "ok  " : "FAIL",
		slash == NULL ? s->path : slash + 1, mode);
	*(is_good ? &passed_count : &failed_count) += 1;
}

static void play_engine(const struct script *s, enum feeding feeding)
{
	struct bench b = {.script = s, .feeding = feeding};
	const struct peer peer = {
		.user = &b,
		.send = bench_send,
		.line = bench_line,
		.is_silent = bench_is_silent,
		.start_tls = bench_start_tls,
		.disconnect = bench_disconnect,
		.is_closed = bench_is_closed,
		.stored = bench_stored,
	};
	bool is_good;

	rig_init(&b.rig);
	b.rig.settings = s->settings;
	/* A server of this machine, without user code. */
	b.rig.peer.settings = s->listen;
	b.rig.peer.address = STR("127.0.0.1");
	b.rig.peer.is_loopback = true;
	b.rig.peer.may_xclient = s->may_xclient;
	b.rig.hooks.plain_auth = NULL;
	rig_start(&b.rig);
	is_good = play(s, &peer, feeding_names[feeding], feeding == FEED_AT_ONCE);
	bench_disconnect(&b);
	rig_done(&b.rig);
	report(s, feeding_names[feeding], is_good);
}

/* The defaults of the bench are those of the server. */
static bool load(struct script *s, const char *path)
{
	struct rig defaults;

	rig_init(&defaults);
	*s = (struct script){.settings = defaults.settings};
	s->settings.idle_commands_max = 200;
	rig_done(&defaults);
	if (script_load(s, path) == 0)
		return true;
	failed_count++;
	return false;
}

static void play_modes(const char *path)
{
	struct script s;

	if (load(&s, path)) {
		play_engine(&s, FEED_WHOLE);
		play_engine(&s, FEED_BYTES);
		if (!s.is_stepwise)
			play_engine(&s, FEED_AT_ONCE);
	}
	script_free(&s);
}

static void play_live(const char *path, const char *endpoint, const char *maildir)
{
	struct script s;

	if (load(&s, path))
		report(&s, "live", live_play(&s, endpoint, maildir));
	script_free(&s);
}

static void print_config(const char *path)
{
	struct script s;

	if (load(&s, path))
		(void)printf("limits {\n%.*s}\n", STR_ARG(buf_str(&s.limits)));
	if (s.auth.len > 0 || s.listen.auth != LISTEN_AUTH_OFF)
		(void)printf("auth {\n%.*s}\n", STR_ARG(buf_str(&s.auth)));
	script_free(&s);
}

static void print_listener(const char *path)
{
	struct script s;

	if (load(&s, path))
		(void)printf("%.*s", STR_ARG(buf_str(&s.listener)));
	script_free(&s);
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "--config") == 0) {
		print_config(argv[2]);
	} else if (argc == 3 && strcmp(argv[1], "--listener") == 0) {
		print_listener(argv[2]);
	} else if (argc == 6 && strcmp(argv[1], "--live") == 0 &&
		   strcmp(argv[3], "--maildir") == 0) {
		play_live(argv[5], argv[2], argv[4]);
	} else if (argc < 2 || argv[1][0] == '-') {
		(void)fprintf(stderr,
			"usage: %s FILE... | --config FILE | --listener FILE |"
			" --live HOST:PORT --maildir DIR FILE\n",
			argv[0]);
		return 2;
	} else {
		for (int i = 1; i < argc; i++)
			play_modes(argv[i]);
		(void)printf("%u passed, %u failed\n", passed_count, failed_count);
	}
	return failed_count == 0 ? 0 : 1;
}
