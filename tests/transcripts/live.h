/* A real server over TCP as the other side of a transcript. */
#ifndef SINKD_TESTS_LIVE_H
#define SINKD_TESTS_LIVE_H

#include <stdbool.h>

#include "play.h"

/* Play s to the server at endpoint ("127.0.0.1:2525", "[::1]:2525"), whose
 * messages arrive in maildir. */
bool live_play(const struct script *s, const char *endpoint, const char *maildir);

#endif
