/* Plays a transcript to a server, whichever way that is reached. */
#ifndef SINKD_TESTS_PLAY_H
#define SINKD_TESTS_PLAY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"
#include "script.h"

/* The other side of the conversation.
 *
 *  send        hand over bytes; a server that has closed swallows them
 *  line        the next reply line without its CR LF.  False: there is none and
 *              none will come
 *  is_silent   no reply is waiting
 *  start_tls   shake hands, before anything else is sent.  False: that failed
 *  disconnect  the client goes, as far as sending is concerned
 *  is_closed   all has been read and the server is gone
 *  stored      how many messages are stored; *ret, if not NULL, becomes the
 *              message of that index, valid until the next call */
struct peer {
	void *user;
	void (*send)(void *user, struct str bytes);
	bool (*line)(void *user, struct str *ret);
	bool (*is_silent)(void *user);
	bool (*start_tls)(void *user);
	void (*disconnect)(void *user);
	bool (*is_closed)(void *user);
	size_t (*stored)(void *user, size_t index, struct str *ret);
};

/* Play all steps.  is_at_once: everything has been sent with the first step, so
 * what depends on the moment is looked at only at the end.  Says on stderr where
 * it went wrong. */
bool play(const struct script *s, const struct peer *peer, const char *mode,
	bool is_at_once);

#endif
