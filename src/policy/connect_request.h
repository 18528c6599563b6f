/* What a worker asks of the connector (proc/connector.h): a connection to a policy
 * service, since it makes no sockets itself.  Where that is only the configuration says.
 */
#ifndef SINKD_POLICY_CONNECT_REQUEST_H
#define SINKD_POLICY_CONNECT_REQUEST_H

#include <stdint.h>

/* One message on the channel (base/ipc.h). */
struct connect_request {
	uint64_t
		deadline_ms; /* monotonic clock; whoever is late is not served any more */
	uint32_t service;    /* its number in the configuration, from 0 */
	uint32_t unused;
};

/* error is 0, and a descriptor comes along; or a negative errno. */
struct connect_answer {
	int32_t error;
};

/* Ask on connector_fd (the asker's end of the channel), and wait until deadline_ms.
 * Returns the connection, a stream socket that is the caller's; or a negative errno:
 * -ETIME when there was no answer in time. */
int connect_request_ask(int connector_fd, uint32_t service, uint64_t deadline_ms);

#endif
