/* Faults that addresses name; see fault.h.  Runs in workers on hostile addresses. */
#include "policy/fault.h"

#include <string.h>

#include "smtp/reply.h"

/* No fault has a longer name: "delay3600000ms-disconnect" and the like. */
#define NAME_MAX_BYTES 48

static const struct {
	const char *name;
	enum rule_action action;
} actions[] = {
	{"disconnect", RULE_DISCONNECT},
	{"reset", RULE_RESET},
	{"stall", RULE_STALL},
	{"drop", RULE_DROP},
};

/* The part of the address that may be a name, terminated and in lower case.  Returns
 * false if it is too long for one. */
static bool take_name(struct str address, char out[NAME_MAX_BYTES + 1])
{
	size_t n = 0;

	while (n < address.n && address.p[n] != '@' && address.p[n] != '+') {
		if (n == NAME_MAX_BYTES || address.p[n] == '\0')
			return false;
		out[n] = str_lower(address.p[n]);
		n++;
	}
	out[n] = '\0';
	return true;
}

/* "452" or "452-4.2.2" */
static bool take_code(const char *name, struct fault *f)
{
	uint64_t code;
	struct str digits = {name, strcspn(name, "-")};
	const char *enhanced = name + digits.n;

	if (digits.n != 3 || str_parse_u64(digits, &code) < 0 || code < 400 || code > 599)
		return false;
	if (*enhanced == '-') {
		enhanced++;
		if (strlen(enhanced) >= sizeof(f->enhanced) ||
			!reply_enhanced_fits(enhanced, (int)code))
			return false;
	}
	f->action = RULE_REPLY;
	f->code = (int)code;
	(void)str_copy(f->enhanced, sizeof(f->enhanced), str_of(enhanced));
	return true;
}

static bool take_action(const char *name, struct fault *f)
{
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		if (strcmp(name, actions[i].name) != 0)
			continue;
		f->action = actions[i].action;
		return true;
	}
	return take_code(name, f);
}

/* "5", which are seconds, or "250ms". */
static bool parse_wait(struct str s, uint32_t *ret_ms)
{
	uint64_t ms;

	if (str_parse_u64(s, &ms) == 0) {
		if (ms > RULE_DELAY_MAX_MS / 1000)
			return false;
		ms *= 1000;
	} else if (str_parse_duration(s, &ms) < 0) {
		return false;
	}
	if (ms > RULE_DELAY_MAX_MS)
		return false;
	*ret_ms = (uint32_t)ms;
	return true;
}

bool fault_of_address(struct str address, struct fault *ret)
{
	static const struct str delay = STR("delay");
	char text[NAME_MAX_BYTES + 1];
	const char *name = text;
	struct fault f = {.action = RULE_REPLY};

	if (!take_name(address, text))
		return false;
	if (str_starts_nocase(str_of(name), delay)) {
		struct str wait = {name + delay.n, strcspn(name + delay.n, "-")};

		if (!parse_wait(wait, &f.delay_ms))
			return false;
		name = wait.p + wait.n;
		if (*name == '\0') {
			*ret = f;
			return true;
		}
		name++;
	}
	if (!take_action(name, &f))
		return false;
	*ret = f;
	return true;
}
