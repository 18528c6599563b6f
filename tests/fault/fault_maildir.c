/* Each call of a delivery to maildirs fails, one after the other.
 *
 * Then: 250 only with whole, durable files in new of each section; for those who got
 * another reply nothing in new, wherever it failed; nothing in tmp, or a line in the
 * log; no descriptor lost; and the next message goes through, to directories that are
 * durable too.  A section that is not required never decides. */
#include "disk.h"
#include "faults.h"
#include "mail.h"
#include "scene.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SHARED "inbox"
#define EACH   "%{recipient.domain}/%{recipient.local}"
#define LOCAL  "%{recipient.local}"

#define BITS3(a, b, c) (FAULT_BIT(CALL_##a) | FAULT_BIT(CALL_##b) | FAULT_BIT(CALL_##c))

/* What a delivery may call. */
#define CALLS                                                                            \
	(FAULT_BIT(CALL_malloc) | BITS3(calloc, realloc, fchmod) |                       \
		BITS3(write, read, copy_file_range) | BITS3(fsync, close, lseek) |       \
		BITS3(openat, openat2, mkdirat) | BITS3(linkat, unlinkat, renameat2))

/* What it takes to remove a file. */
#define UNLINK_CALLS BITS3(openat, openat2, unlinkat)

/* What fails when a disk has died. */
#define DISK_CALLS                                                                       \
	(BITS3(write, fsync, openat) | BITS3(openat2, mkdirat, linkat) |                 \
		BITS3(renameat2, copy_file_range, unlinkat))

struct maildir_case {
	const char *name;
	struct scene_settings settings;
	size_t recipients;
	size_t lines;    /* of text; 0: one */
	bool is_missing; /* the mailboxes have to be made */
	bool is_aborted;
	bool is_lmtp;
	bool is_optional; /* the second section */
	/* The first recipient goes to the first section, the second to the other, and the
	 * third to both. */
	bool is_routed;
	mode_t umask;
	struct fault weakness;
};

#define WEAK(call, e)                                                                    \
	.weakness = {.calls = FAULT_BIT(CALL_##call),                                    \
		.error = (e),                                                            \
		.nth = 1,                                                                \
		.is_lasting = true}
#define SECTION(p, h, s) .settings = {.path = (p), .headers = (h), .sync = (s)}
#define ONE(h, s)        SECTION(SHARED, h, s), .recipients = 1
#define SEVERAL(n, h, s) SECTION(EACH, h, s), .recipients = (n)
#define TWO(a, b, n)                                                                     \
	.settings = {.path = (a), .second = (b), .headers = "", .sync = "full"},         \
	.recipients = (n)
#define LMTP         .is_lmtp = true
#define ROUTED       .is_routed = true
#define MADE         .is_missing = true
#define LARGE        .lines = 1600
#define DELIVERED_TO "\"Delivered-To\""
#define ALL_KNOWN    "\"X-Original-To\", \"X-Sinkd-Envelope\""

static const struct maildir_case cases[] = {
	{"maildir, one mailbox", ONE("\"Received\"", "full"), .umask = 077},
	{"maildir, one mailbox, made", ONE("", "full"), MADE},
	{"maildir, one mailbox, large", ONE("", "full"), LARGE},
	{"maildir, one mailbox, sync none", ONE("", "none"), MADE},
	{"maildir, one mailbox, aborted", ONE("", "full"), .is_aborted = true},
	{"maildir, one mailbox, chmod", ONE("", "full"), .umask = 077,
		.settings.file_mode = "0640"},
	{"maildir, linked", SEVERAL(3, "", "full")},
	{"maildir, linked, made", SEVERAL(3, "", "full"), MADE},
	{"maildir, linked, aborted", SEVERAL(3, "", "full"), .is_aborted = true},
	{"maildir, copied", SEVERAL(3, DELIVERED_TO, "full"), LARGE},
	{"maildir, copied, made", SEVERAL(2, DELIVERED_TO, "full"), MADE},
	{"maildir, copied, sync none", SEVERAL(2, DELIVERED_TO, "none"), MADE},
	{"maildir, linked, LMTP", SEVERAL(3, "", "full"), LMTP},
	{"maildir, made, LMTP", SEVERAL(2, "", "full"), LMTP, MADE},
	{"maildir, copied, LMTP", SEVERAL(3, ALL_KNOWN, "full"), LMTP},
	{"two maildirs", TWO(SHARED, "archive", 1)},
	{"two maildirs, made", TWO(SHARED, LOCAL, 2), MADE},
	{"two maildirs, aborted", TWO(SHARED, LOCAL, 2), .is_aborted = true},
	{"two maildirs, LMTP", TWO(EACH, LOCAL, 2), LMTP},
	{"two maildirs, one shared, LMTP", TWO(LOCAL, SHARED, 2), LMTP},
	{"two maildirs, one not required", TWO(SHARED, LOCAL, 2), .is_optional = true},
	{"two routes", TWO(SHARED, "archive", 2), ROUTED},
	{"two routes, one for both", TWO(SHARED, LOCAL, 3), ROUTED},
	{"two routes, made, LMTP", TWO(SHARED, EACH, 2), LMTP, ROUTED, MADE},
	{"two routes, one for both, LMTP", TWO(LOCAL, SHARED, 3), LMTP, ROUTED},
	{"two routes, aborted", TWO(EACH, LOCAL, 3), ROUTED, .is_aborted = true},
	{"maildir without links", SEVERAL(2, "", "full"), WEAK(linkat, EPERM)},
	{"maildir without rename", ONE("", "full"), WEAK(renameat2, EINVAL)},
	{"maildir without openat2", SEVERAL(2, "", "full"), MADE, WEAK(openat2, ENOSYS)},
	{"maildir without copy_file_range", SEVERAL(2, DELIVERED_TO, "full"), LARGE,
		WEAK(copy_file_range, EXDEV)},
};

#define SECTIONS 2

struct bench {
	const struct maildir_case *c;
	struct mail_way way;
	struct scene scene;
	struct delivery_settings sections[SECTIONS];
	size_t section_count;
	struct delivery *delivery;
	struct mail_text text, next;
};

static bool is_synced(const struct bench *b)
{
	return b->c->settings.sync[0] == 'f';
}

/* How many files it takes for these recipients; of the first sections. */
static unsigned files_for(const struct bench *b, unsigned recipients, size_t sections)
{
	static const unsigned routed[SECTIONS] = {1 | 4, 2 | 4};
	unsigned files = 0;

	for (size_t i = 0; i < sections; i++) {
		unsigned here = b->c->is_routed ? recipients & routed[i] : recipients;

		if (strchr(b->sections[i].path, '%') != NULL)
			files += (unsigned)__builtin_popcount(here);
		else
			files += here != 0;
	}
	return files;
}

static unsigned all_files(const struct bench *b)
{
	return files_for(b, mail_everyone(&b->way), b->section_count);
}

/* The fault is armed, the message is on its way. */
static struct mail_outcome deliver_with(const struct bench *b, const struct fault *fault)
{
	struct mail_outcome outcome;

	faults_arm(fault, &b->c->weakness);
	outcome = mail_deliver(b->delivery, &b->text, &b->way);
	faults_disarm();
	return outcome;
}

/* Interrupted and short calls are nobody's business; other ways to do the same may be
 * closed when the machine is weak. */
static bool is_unseen(const struct bench *b, const struct fault *fault)
{
	bool is_small = fault->error == EINTR || fault->error == FAULT_SHORT;

	return !faults_has_struck() ||
	       (fault->is_harmless && (is_small || b->c->weakness.calls == 0));
}

static void check_message(
	const struct bench *b, const struct fault *fault, const struct mail_outcome *o)
{
	const struct scene *s = &b->scene;
	struct tally found = scene_count(s, b->text.stored);
	unsigned skipped = scene_logged(s, "delivery.skipped");
	unsigned expected = files_for(b, o->accepted, b->section_count - skipped);
	unsigned unlinks = scene_logged(s, "step=unlink");
	bool is_good = o->code == 250 || o->code == 0;

	if (is_unseen(b, fault))
		CHECK(o->code == (b->c->is_aborted ? 0 : 250) && skipped == 0);
	CHECK(skipped == 0 || (b->c->is_optional && skipped == 1));
	CHECK(found.delivered >= expected && found.whole == found.delivered);
	/* What could not be removed is in the log, file by file. */
	CHECK(found.tmp + found.delivered - expected <= unlinks);
	CHECK(unlinks == 0 || (fault->calls & UNLINK_CALLS) != 0);
	if (is_good && skipped == 0)
		CHECK(scene_logged(s, "delivery.failed") == unlinks);
	else
		CHECK(scene_logged(s, "delivery.failed") > unlinks);
	if (is_synced(b))
		CHECK(scene_is_durable(s, b->text.stored, expected));
	if (!is_good)
		CHECK(o->code == (fault->error == ENOSPC ? 452 : 451));
}

static void run_case(void *user, const struct fault *fault)
{
	static const struct delivery_env none;
	static const size_t both[SECTIONS] = {0, 1};
	static const struct delivery_route routes[] = {{&both[1], 1}, {both, SECTIONS}};
	struct bench *b = user;
	const struct scene *s = &b->scene;
	struct mail_way way = b->way;
	unsigned before = scene_descriptors();
	char root[sizeof(s->dir) + 8];
	struct mail_outcome outcome;
	size_t failed;

	way.is_aborted = false;
	scene_clear(s, b->c->is_missing);
	(void)snprintf(root, sizeof(root), "%s/mail", s->dir);
	CHECK(delivery_open(
		      b->sections, b->section_count, &none, &b->delivery, &failed) == 0);
	delivery_select(b->delivery, both, b->c->is_routed ? 1 : b->section_count);
	if (b->c->is_routed)
		delivery_set_routes(b->delivery, routes, 2);
	disk_start(root);
	outcome = deliver_with(b, fault);
	check_message(b, fault, &outcome);
	outcome = mail_deliver(b->delivery, &b->next, &way);
	CHECK(outcome.code == 250 && outcome.accepted == mail_everyone(&way));
	CHECK(scene_count(s, b->next.stored).whole == all_files(b));
	/* A directory that could not be made durable is removed again, or else it would
	 * be taken for durable here; when that cannot be done either, it is. */
	if (is_synced(b) && (fault->calls & FAULT_BIT(CALL_unlinkat)) == 0)
		CHECK(scene_is_durable(s, b->next.stored, all_files(b)));
	delivery_close(b->delivery);
	disk_stop();
	CHECK(scene_descriptors() == before);
}

static void sweep_case(const struct maildir_case *c)
{
	static const struct fault none;
	mode_t mask = umask(c->umask);
	struct bench b = {
		.c = c,
		.text = mail_text_make("the first", c->lines == 0 ? 1 : c->lines),
		.next = mail_text_make("the next", 1),
		.way = {c->recipients, c->is_lmtp, c->is_aborted, c->is_routed},
	};

	scene_open(&b.scene, &c->settings);
	b.section_count = b.scene.config->delivery_count;
	for (size_t i = 0; i < b.section_count; i++) {
		b.sections[i] = b.scene.config->deliveries[i];
		b.sections[i].is_required = i == 0 || !c->is_optional;
	}
	(void)log_open(b.scene.config->log_target, LOG_FORMAT_TEXT, LOG_INFO);
	/* Without a fault first: it also makes the mailboxes. */
	run_case(&b, &none);
	faults_sweep(c->name, CALLS & ~c->weakness.calls, run_case, &b);
	faults_sweep_lasting(c->name, DISK_CALLS & ~c->weakness.calls, EIO, run_case, &b);
	(void)log_open(NULL, LOG_FORMAT_TEXT, LOG_INFO);
	scene_close(&b.scene);
	mail_text_free(&b.text);
	mail_text_free(&b.next);
	(void)umask(mask);
}

int main(void)
{
	faults_init();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		sweep_case(&cases[i]);
	return faults_conclude(CALLS);
}
