/* A module that is asked everything and decides nothing: what asking costs. */
#include <sinkd_module.h>

static void ask(void *user, struct sinkd_session *session, struct sinkd_verdict *verdict)
{
	(void)user;
	(void)session;
	(void)verdict;
}

static void ask_1(void *user, struct sinkd_session *session, struct sinkd_str text,
	struct sinkd_verdict *verdict)
{
	(void)text;
	ask(user, session, verdict);
}

static void ask_2(void *user, struct sinkd_session *session, struct sinkd_str first,
	struct sinkd_str second, struct sinkd_verdict *verdict)
{
	(void)first;
	ask_1(user, session, second, verdict);
}

static void tell(void *user, struct sinkd_session *session)
{
	(void)user;
	(void)session;
}

int sinkd_module_open(
	const struct sinkd_host *host, const char *argument, struct sinkd_module *ret)
{
	static const struct sinkd_hooks hooks = {
		.abi = SINKD_ABI,
		.size = sizeof(hooks),
		.connect = ask_1,
		.command = ask_2,
		.ehlo_domain = ask_1,
		.sender = ask_2,
		.recipient = ask_2,
		.data_command = ask,
		.data_chunk = ask_1,
		.message = ask,
		.message_recipient = ask_1,
		.reset = tell,
		.transaction = tell,
		.connection_ended = tell,
	};

	(void)host;
	(void)argument;
	ret->abi = SINKD_ABI;
	ret->size = sizeof(*ret);
	ret->hooks = &hooks;
	return 0;
}
