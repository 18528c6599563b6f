/* Rules at work; see rules_fixture.h. */
#include "rules_fixture.h"

#include <assert.h>
#include <string.h>

const char *const scene_message[] = {"EHLO c.test\r\n", "MAIL FROM:<a@x.test>\r\n",
	"RCPT TO:<b@y.test>\r\n", "DATA\r\n", "text\r\n.\r\n", "QUIT\r\n", NULL};

static uint64_t count(void *user, uint64_t key, uint64_t window_ms)
{
	struct tally *t = ((struct scene *)user)->tally;
	size_t i = 0;

	(void)window_ms;
	while (i < SCENE_KEYS_MAX && t->counts[i] > 0 && t->keys[i] != key)
		i++;
	assert(i < SCENE_KEYS_MAX);
	t->keys[i] = key;
	return ++t->counts[i];
}

static bool is_on(void *user, const struct rules_entry *entry)
{
	struct scene *s = user;

	return entry->is_enabled && !s->is_switched_off[entry - s->entries];
}

static void fired(void *user, const struct rules_firing *firing)
{
	struct scene *s = user;
	size_t n = strlen(s->fired);

	n += str_copy(
		s->fired + n, sizeof(s->fired) - n, str_of(firing->entry->rule.name));
	n += str_copy(s->fired + n, sizeof(s->fired) - n, STR(" "));
	n += str_copy(s->fired + n, sizeof(s->fired) - n, str_of(s->hook));
	(void)str_copy(s->fired + n, sizeof(s->fired) - n, STR("\n"));
	s->fired_count++;
}

/* --- between the engine and the layers ------------------------------------- */

/* Hand on to the stack what the engine asks, and note it if a rule fires. */
#define WATCH(member, ...)                                                               \
	do {                                                                             \
		struct scene *s = ((struct rig *)user)->user;                            \
		size_t before = s->fired_count, trace = s->rig.trace.len;                \
                                                                                         \
		s->hook = #member;                                                       \
		if (s->top == NULL || s->top->member == NULL)                            \
			break;                                                           \
		s->top->member(s->top->user, session, __VA_ARGS__);                      \
		if (s->fired_count > before)                                             \
			s->last = (struct decision){                                     \
				#member, *verdict, s->rig.trace.len > trace};            \
	} while (0)

#define ASK(member)                                                                      \
	static void on_##member(void *user, struct sinkd_session *session,               \
		struct sinkd_verdict *verdict)                                           \
	{                                                                                \
		WATCH(member, verdict);                                                  \
	}
#define ASK_1(member)                                                                    \
	static void on_##member(void *user, struct sinkd_session *session,               \
		struct sinkd_str text, struct sinkd_verdict *verdict)                    \
	{                                                                                \
		WATCH(member, text, verdict);                                            \
	}
#define ASK_2(member)                                                                    \
	static void on_##member(void *user, struct sinkd_session *session,               \
		struct sinkd_str first, struct sinkd_str second,                         \
		struct sinkd_verdict *verdict)                                           \
	{                                                                                \
		WATCH(member, first, second, verdict);                                   \
	}

ASK(data_command)
ASK(message)
ASK_1(connect)
ASK_1(ehlo_domain)
ASK_1(data_chunk)
ASK_1(message_recipient)
ASK_2(command)
ASK_2(sender)
ASK_2(recipient)

static void on_connection_ended(void *user, struct sinkd_session *session)
{
	const struct scene *s = ((struct rig *)user)->user;

	s->below.connection_ended(s->below.user, session);
}

void scene_init(struct scene *s, struct tally *tally)
{
	*s = (struct scene){.tally = tally};
	rig_init(&s->rig);
	s->rig.user = s;
	s->below = s->rig.hooks;
	s->below.user = &s->rig;
	s->rig.hooks = (struct sinkd_hooks){
		.abi = SINKD_ABI,
		.size = sizeof(s->rig.hooks),
		.connect = on_connect,
		.command = on_command,
		.ehlo_domain = on_ehlo_domain,
		.sender = on_sender,
		.recipient = on_recipient,
		.data_command = on_data_command,
		.data_chunk = on_data_chunk,
		.message = on_message,
		.message_recipient = on_message_recipient,
		.connection_ended = on_connection_ended,
	};
	s->env = (struct rules_env){
		.user = s, .counting = {s, count}, .is_on = is_on, .fired = fired};
}

struct rules_entry *scene_add(struct scene *s, const char *name, enum rule_stage stage)
{
	struct rules_entry *e = &s->entries[s->count];

	assert(s->count < SCENE_RULES_MAX && s->rules == NULL);
	s->count++;
	*e = (struct rules_entry){
		.rule = {.name = name, .stage = stage, .percent = 100},
		.is_enabled = true,
		.code = 451,
		.enhanced = "",
		.text = "",
	};
	return e;
}

void scene_start(struct scene *s)
{
	if (s->rules == NULL) {
		const struct sinkd_hooks *below;

		s->settings = (struct rules_settings){s->entries, s->count};
		s->rules = rules_new(&s->settings, &s->env);
		s->stack = stack_new(2);
		assert(s->rules != NULL && s->stack != NULL);
		below = stack_add(s->stack, NULL);
		(void)stack_add(s->stack, &s->below);
		stack_set(s->stack, 0, rules_hooks(s->rules, below));
		s->top = stack_top(s->stack);
	}
	rig_start(&s->rig);
}

void scene_say(struct scene *s, const char *const *lines)
{
	for (; *lines != NULL; lines++)
		rig_say(&s->rig, *lines);
}

void scene_done(struct scene *s)
{
	rig_end(&s->rig);
	rig_done(&s->rig);
	stack_free(s->stack);
	rules_free(s->rules);
	*s = (struct scene){0};
}
