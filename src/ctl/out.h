/* How sinkctl writes: text of others made harmless, and JSON. */
#ifndef SINKD_CTL_OUT_H
#define SINKD_CTL_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Room for the printable form of any text field of a snapshot, or of an answer. */
#define OUT_TEXT_MAX 1100

/* The printable form of a text that may hold anything; "-" for the empty one. */
void out_printable(char out[OUT_TEXT_MAX], const char *text);

/* The same for what the server says in its own words, where quotes are quotes. */
void out_words(char out[OUT_TEXT_MAX], const char *text);

/* A number of milliseconds in seconds, with three decimals, into out. */
#define OUT_NUMBER_MAX 32
void out_seconds(char out[OUT_NUMBER_MAX], uint64_t ms);

/* JSON (RFC 8259) on its way; the commas come by themselves.  A key of NULL is for
 * members of an array.  Keys are ours and need no escape. */
struct out_json {
	FILE *file;
	bool needs_comma;
};

void out_json_open(struct out_json *j, const char *key, char bracket);
void out_json_close(struct out_json *j, char bracket);
void out_json_text(struct out_json *j, const char *key, const char *text);
void out_json_number(struct out_json *j, const char *key, uint64_t number);
void out_json_bool(struct out_json *j, const char *key, bool value);
/* literal: a number that has been formatted. */
void out_json_literal(struct out_json *j, const char *key, const char *literal);

#endif
