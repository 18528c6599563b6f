/* Paths of mailboxes; see mailbox.h.
 *
 * Templates come from the configuration, addresses from clients.  Text of a
 * client enters a path through mailbox_path_piece and nowhere else, so it can
 * neither end a component nor be a component that means another directory.
 *
 * The master checks templates, workers expand them.  Opens nothing.
 *
 * Known limit: case is that of ASCII.  A domain with other letters (RFC 6531) has a
 * mailbox for each way to write it, and another one for its form in ASCII ("xn--"). */
#include "delivery/mailbox.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "delivery/macro.h"
#include "smtp/envelope.h"

/* With the hash a piece has at most 217 bytes; that leaves room for some fixed
 * text within the 255 of a file name. */
#define PIECE_MAX    200
#define EXPANDED_MAX (PIECE_MAX + 17)

int mailbox_template_check(const char *template, const char **ret_error)
{
	struct str s = str_of(template);
	size_t components = 0, length = 0, dots = 0;
	const char *error = s.n == 0 ? "the path is empty" : NULL;

	while (error == NULL && s.n > 0) {
		struct macro_token token = {0};
		bool is_slash;

		error = macro_take(&s, MACROS_OF_PATHS, &token);
		is_slash = token.macro == MACRO_NONE && token.literal == '/';
		if (error == NULL && token.macro != MACRO_NONE && components == 0)
			error = "the first directory of the path must not have a macro";
		if (!is_slash) {
			length += token.macro == MACRO_NONE ? 1 : EXPANDED_MAX;
			dots += token.macro == MACRO_NONE && token.literal == '.';
			if (s.n > 0)
				continue;
		}
		/* A component ends here; repeated slashes make empty ones. */
		if (error == NULL && length == 2 && dots == 2)
			error = "the path must not have '..' in it";
		if (error == NULL && length > NAME_MAX)
			error = "a directory name could become longer than 255 bytes "
				"(one "
				"macro at most, and little beside it)";
		components += length > 0;
		length = dots = 0;
	}
	if (error == NULL && components == 0)
		error = "the path names no directory";
	if (error != NULL) {
		*ret_error = error;
		return -EINVAL;
	}
	return 0;
}

struct mailbox_template mailbox_template_split(const char *template)
{
	struct str all = str_of(template), s;
	struct mailbox_template ret = {0};
	size_t root = 0;

	while (all.n > 0 && all.p[all.n - 1] == '/')
		all.n--;
	s = all;
	while (s.n > 0) {
		struct macro_token token;

		if (macro_take(&s, MACROS_OF_PATHS, &token) != NULL)
			break;
		if (token.macro != MACRO_NONE) {
			ret.is_per_recipient = true;
			break;
		}
		if (token.literal == '/')
			root = all.n - s.n;
	}
	ret.root = (struct str){all.p, root};
	ret.below = str_skip(all, root);
	return ret;
}

static uint64_t fnv1a(struct str s)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < s.n; i++) {
		hash ^= (uint8_t)s.p[i];
		hash *= UINT64_C(0x100000001b3);
	}
	return hash;
}

static bool is_plain(struct str raw, size_t i)
{
	char c = raw.p[i];

	if (i == 0 && (c == '.' || c == '-'))
		return false;
	return str_is_alnum(c) || (c != '\0' && strchr("_+=@.-", c) != NULL);
}

bool mailbox_path_piece(struct str raw, struct buf *out)
{
	size_t length = 0;

	if (raw.n == 0)
		return buf_add_text(out, "%");
	for (size_t i = 0; i < raw.n; i++) {
		bool plain = is_plain(raw, i);

		length += plain ? 1 : 3;
		/* A cut piece is longer than any whole one, so the two never meet. */
		if (length > PIECE_MAX)
			return buf_add_format(out, "%%%016" PRIx64, fnv1a(raw));
		if (plain)
			(void)buf_add(out, raw.p + i, 1);
		else
			(void)buf_add_format(out, "%%%02X", (unsigned)(uint8_t)raw.p[i]);
	}
	return !out->has_overflowed;
}

static bool add_macro(enum macro macro, const struct address *recipient,
	const char *hostname, struct buf *out)
{
	struct str domain =
		recipient->domain.n > 0 ? recipient->domain : str_of(hostname);
	struct buf raw;
	bool fits;

	buf_init(&raw, recipient->local.n + 1 + domain.n);
	if (macro != MACRO_RECIPIENT_DOMAIN)
		(void)buf_add_str(&raw, recipient->local);
	if (macro == MACRO_RECIPIENT)
		(void)buf_add(&raw, "@", 1);
	for (size_t i = 0; macro != MACRO_RECIPIENT_LOCAL && i < domain.n; i++) {
		char c = str_lower(domain.p[i]);

		(void)buf_add(&raw, &c, 1);
	}
	fits = !raw.has_overflowed && mailbox_path_piece(buf_str(&raw), out);
	buf_done(&raw);
	return fits;
}

bool mailbox_expand(struct str part, const struct address *recipient,
	const char *hostname, struct buf *out)
{
	while (part.n > 0) {
		struct macro_token token;

		if (macro_take(&part, MACROS_OF_PATHS, &token) != NULL)
			return false;
		if (token.macro == MACRO_NONE
				? !buf_add(out, &token.literal, 1)
				: !add_macro(token.macro, recipient, hostname, out))
			return false;
	}
	return true;
}

/* A recipient and its mailbox, first as an offset: the buffer still moves. */
struct entry {
	size_t offset;
	const char *path;
	size_t recipient;
};

static int compare_entries(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int order = strcmp(x->path, y->path);

	return order != 0 ? order
			  : (x->recipient > y->recipient) - (x->recipient < y->recipient);
}

/* Fill entries[0..n) with what each recipient's path is, and sort them. */
static bool expand_all(const struct mailbox_template *template, const char *hostname,
	const struct envelope *envelope, struct entry *entries, struct buf *paths)
{
	size_t n = envelope->recipient_count;

	for (size_t i = 0; i < n; i++) {
		entries[i].recipient = i;
		if (i > 0 && !template->is_per_recipient)
			continue;
		entries[i].offset = paths->len;
		if (!mailbox_expand(template->below, &envelope->recipients[i].address,
			    hostname, paths) ||
			!buf_add(paths, "", 1))
			return false;
	}
	for (size_t i = 0; i < n; i++)
		entries[i].path = paths->p + entries[i].offset;
	if (template->is_per_recipient)
		qsort(entries, n, sizeof(entries[0]), compare_entries);
	return true;
}

int mailbox_plan_init(const struct mailbox_template *template, const char *hostname,
	const struct envelope *envelope, struct mailbox_plan *ret_plan)
{
	size_t n = envelope->recipient_count;
	struct entry *entries = calloc(n, sizeof(*entries));
	struct mailbox_plan plan = {
		.mailboxes = calloc(n, sizeof(*plan.mailboxes)),
		.recipients = calloc(n, sizeof(*plan.recipients)),
		.paths = {.max = n * PATH_MAX},
	};

	if (entries == NULL || plan.mailboxes == NULL || plan.recipients == NULL ||
		!expand_all(template, hostname, envelope, entries, &plan.paths)) {
		free(entries);
		mailbox_plan_done(&plan);
		return -ENOMEM;
	}
	/* Equal paths stand side by side, so a mailbox is a run of entries. */
	for (size_t i = 0; i < n; i++) {
		if (i == 0 || strcmp(entries[i - 1].path, entries[i].path) != 0)
			plan.mailboxes[plan.count++] =
				(struct mailbox){entries[i].path, plan.recipients + i, 0};
		plan.mailboxes[plan.count - 1].recipient_count++;
		plan.recipients[i] = entries[i].recipient;
	}
	free(entries);
	*ret_plan = plan;
	return 0;
}

void mailbox_plan_done(struct mailbox_plan *plan)
{
	if (plan == NULL)
		return;
	free(plan->mailboxes);
	free(plan->recipients);
	buf_done(&plan->paths);
	*plan = (struct mailbox_plan){0};
}
