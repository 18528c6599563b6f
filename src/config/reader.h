/* What the functions share that turn sections of the file into a struct config. */
#ifndef SINKD_CONFIG_READER_H
#define SINKD_CONFIG_READER_H

#include <stdbool.h>
#include <stddef.h>

struct config;
struct option;
struct report;
struct section;

struct reader {
	struct report *report;
	struct config *config;
	bool is_out_of_memory; /* sticky; what was read is then of no use */
};

/* Tell what is wrong with an option, where its value is written. */
void reader_mistake(struct reader *r, const struct section *s, const char *option,
	const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The same for one value of a list. */
void reader_item_mistake(struct reader *r, const struct section *s, const char *option,
	size_t i, const char *format, ...) __attribute__((format(printf, 5, 6)));

/* The same for the section as a whole. */
void reader_section_mistake(struct reader *r, const struct section *s, const char *what);

/* From the arena of the configuration; NULL without memory. */
void *reader_take_memory(struct reader *r, size_t n);
const char *reader_copy_text(struct reader *r, const char *text);

/* Of a list of words, each of which may be given once, the set of them: bit 1 << i for
 * words[i].  words ends with NULL. */
unsigned reader_take_words(struct reader *r, const struct section *s, const char *option,
	const char *const *words);

/* The networks of a list; NULL without memory. */
const struct network *reader_take_networks(
	struct reader *r, const struct section *s, const char *option, size_t *ret_count);

/* Set the member of base that an option has; names and lists have none. */
void reader_set_option(
	struct reader *r, const struct section *s, const struct option *o, void *base);

/* The same for all of a table. */
void reader_set_options(struct reader *r, const struct section *s,
	const struct option *options, void *base);

#endif
