/* A bench for delivery/maildir: a directory with maildirs and the log, a deliver
 * section in it, and messages that go the way the engine sends them.
 *
 * A test goes start, changes to `settings`, open_section, messages, finish_mail. */
#ifndef SINKD_TESTS_MAILDIR_FIXTURE_H
#define SINKD_TESTS_MAILDIR_FIXTURE_H

#include "base/str.h"
#include "delivery/delivery.h"
#include "smtp/envelope.h"

#include <CUnit/CUnit.h>
#include <stdbool.h>
#include <stddef.h>

/* Two paths of sections, and the name of every message in tmp. */
#define SHARED "Maildir"
#define EACH   "%{recipient.domain}/%{recipient.local}"
#define ID     "00064b1e2f3a5c-00126f-9a3b"
#define BASE   "1700000000." ID ".mx.example.test"

/* A message as it comes and as it is stored with line ends LF. */
#define MESSAGE    "Subject: x\r\n\r\ntext\r\n"
#define MESSAGE_LF "Subject: x\n\ntext\n"

#define RECIPIENTS 1000

/* The section under test. */
extern const struct delivery_backend *const backend;
extern struct delivery_settings settings;
extern void *state;

/* The message in hand. */
extern struct envelope envelope;
extern bool keep[RECIPIENTS];
extern struct smtp_result results[RECIPIENTS];

/* A new directory, and settings for a section with this path in it. */
void start(const char *path);
int open_state(void); /* returns what open does */
void open_section(void);
/* Close the section, remove the directory. */
void finish_mail(void);

/* One message for these recipients, all of them kept. */
void set_envelope(size_t n, const char *const *addresses);
void set_recipient(const char *address);

/* Steps of a message.  Return the one code for all kept recipients, -1 if they
 * differ.  deliver goes all the way, or ends where the engine would. */
int write_message(struct str text, size_t chunk_size);
int prepare(void);
int commit(void);
void end(bool is_kept); /* for those of keep, or for nobody */
int deliver(struct str text, size_t chunk_size);
int deliver_short(void);

/* The absolute form of a path in the directory; valid for a few calls. */
const char *at(const char *path);
/* How many entries a directory has; -1: there is none. */
int count(const char *path);
void make_file(const char *path);
void remove_tree(const char *absolute_path);
int logged_lines(void);

/* Check how many files are in tmp and new of a mailbox / what a file holds. */
void check_counts(const char *name, const char *mailbox, int tmp, int new);
void check_file(const char *name, const char *path, struct str expected);

/* The tests in test_maildir_faults.c and test_maildir_keep.c, for the same suite. */
void add_maildir_faults(CU_pSuite s);
void add_maildir_keep(CU_pSuite s);

#endif
