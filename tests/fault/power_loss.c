/* The power fails after each change that a delivery makes on disk.
 *
 * Whatever becomes of what was not fsynced: when the message had been promised, it is
 * whole, byte by byte, in new of all mailboxes; and what is in new is always whole.
 * With sync = "none" the same cuts must lose something, or this test is blind. */
#include "disk.h"
#include "faults.h"
#include "mail.h"
#include "scene.h"

#include <stdio.h>
#include <string.h>

#define FATES (DISK_CHANCE + 32)
#define EACH  "%{recipient.domain}/%{recipient.local}"

#define SECTION(p, h, s) .settings = {.path = (p), .headers = (h), .sync = (s)}
#define ONE(h, s)        SECTION("inbox", h, s), .recipients = 1
#define SEVERAL(h, s)    SECTION(EACH, h, s), .recipients = 3
#define TWO(a, b, s)                                                                     \
	.settings = {.path = (a), .second = (b), .headers = "", .sync = (s)},            \
	.recipients = 2

static const struct power_case {
	const char *name;
	struct scene_settings settings;
	size_t recipients;
	size_t lines; /* of text; 0: one */
	bool is_missing;
	bool is_prepared; /* the master has made the mailbox */
	bool is_lmtp;
} cases[] = {
	{"one mailbox", ONE("\"Received\"", "full")},
	{"one mailbox, made", ONE("", "full"), .is_missing = true},
	{"one mailbox, prepared", ONE("", "full"), .is_missing = true,
		.is_prepared = true},
	{"one mailbox, large", ONE("", "full"), .lines = 1600},
	{"linked", SEVERAL("", "full")},
	{"linked, made", SEVERAL("", "full"), .is_missing = true},
	{"copied", SEVERAL("\"Delivered-To\"", "full"), .lines = 1600},
	{"copied, made", SEVERAL("\"Delivered-To\"", "full"), .is_missing = true},
	{"linked, LMTP", SEVERAL("", "full"), .is_lmtp = true},
	{"two sections", TWO("inbox", "archive", "full")},
	{"two sections, made", TWO("inbox", EACH, "full"), .is_missing = true},
	{"two sections, LMTP", TWO(EACH, "archive", "full"), .is_lmtp = true},
	{"two sections, sync none", TWO("inbox", EACH, "none")},
	{"one mailbox, sync none", ONE("", "none")},
	{"linked, sync none", SEVERAL("", "none"), .is_missing = true},
};

/* What the cuts of one case came to. */
struct outcome {
	unsigned cuts;
	unsigned lost;   /* promised, and not there or not whole */
	unsigned broken; /* in new without being whole */
};

/* promised: how many changes there were when the first message was promised; those
 * behind them belong to the second, and take nothing away. */
static struct outcome cut_everywhere(const struct scene *s, const struct mail_text *text,
	size_t promised, unsigned mailboxes)
{
	struct outcome o = {0};

	for (size_t n = 0; n <= disk_changes(); n++)
		for (unsigned fate = 0; fate < FATES; fate++) {
			unsigned broken;
			unsigned whole =
				scene_survivors(s, text->stored, n, fate, &broken);

			o.cuts++;
			o.lost += n >= promised && whole < mailboxes;
			o.broken += broken > 0;
		}
	return o;
}

static void deliver(
	struct delivery *d, const struct mail_text *text, const struct power_case *c)
{
	const struct mail_way way = {.recipients = c->recipients, .is_lmtp = c->is_lmtp};

	CHECK(mail_deliver(d, text, &way).code == 250);
}

static unsigned mailboxes_of(const char *path, const struct power_case *c)
{
	return path == NULL ? 0 : strchr(path, '%') == NULL ? 1 : (unsigned)c->recipients;
}

static struct outcome run_case(const struct power_case *c, const struct scene *s)
{
	static const struct delivery_env none;
	static const size_t both[] = {0, 1};
	const struct config *config = s->config;
	unsigned mailboxes =
		mailboxes_of(c->settings.path, c) + mailboxes_of(c->settings.second, c);
	struct mail_text text =
		mail_text_make("the message", c->lines == 0 ? 1 : c->lines);
	char root[sizeof(s->dir) + 8];
	struct delivery *d = NULL;
	struct outcome o;
	size_t promised, failed;

	(void)snprintf(root, sizeof(root), "%s/mail", s->dir);
	CHECK(delivery_open(config->deliveries, config->delivery_count, &none, &d,
		      &failed) == 0);
	delivery_select(d, both, config->delivery_count);
	if (!c->is_missing)
		deliver(d, &text, c);
	scene_clear(s, false);
	disk_start(root);
	if (c->is_prepared)
		CHECK(delivery_prepare_host(config->deliveries, config->delivery_count,
			      NULL, &failed) == 0);
	deliver(d, &text, c);
	promised = disk_changes();
	deliver(d, &text, c);
	o = cut_everywhere(s, &text, promised, mailboxes);
	printf("power loss, %s: promised after %zu changes, %u cuts, %u lost it\n",
		c->name, promised, o.cuts, o.lost);
	disk_stop();
	delivery_close(d);
	mail_text_free(&text);
	return o;
}

int main(void)
{
	unsigned cuts = 0;

	faults_init();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct power_case *c = &cases[i];
		struct scene scene;
		struct outcome o;

		scene_open(&scene, &c->settings);
		o = run_case(c, &scene);
		if (c->settings.sync[0] == 'f') {
			CHECK(o.lost == 0);
			CHECK(o.broken == 0);
		} else {
			CHECK(o.lost > 0);
		}
		cuts += o.cuts;
		scene_close(&scene);
	}
	printf("%u cuts\n", cuts);
	return faults_conclude(0);
}
