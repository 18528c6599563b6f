/* Asking for a connection; see connect_request.h.  Runs in workers, in their cage. */
#include "policy/connect_request.h"

#include <errno.h>
#include <sys/types.h>

#include "base/fdio.h"
#include "base/ipc.h"

/* A connector that died over the question has a successor soon. */
#define TRIES 3

int connect_request_ask(int connector_fd, uint32_t service, uint64_t deadline_ms)
{
	const struct connect_request q = {.deadline_ms = deadline_ms, .service = service};
	struct connect_answer answer = {.error = 0};
	ssize_t n = -EPIPE;
	int fd = -1;

	for (int i = 0; i < TRIES && n == -EPIPE; i++)
		n = ipc_ask_fd(connector_fd, &q, sizeof(q), &answer, sizeof(answer),
			deadline_ms, &fd);
	if (n < 0)
		return (int)n;
	if (n == sizeof(answer) && answer.error == 0 && fd >= 0)
		return fd;
	(void)fdio_close(&fd);
	return n == sizeof(answer) && answer.error < 0 ? answer.error : -EBADMSG;
}
