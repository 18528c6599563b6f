/* The text of the configuration file, made fit for the parser, and messages.
 *
 * libconfuse 3.3 ends the process when a read fails, miscounts lines after
 * comments, takes the end of the file for any closing brace that is missing, and leaves
 * out stars.  So the file is read here, comments become blanks, and what is open at the
 * end, or a star, is told.  Must agree with the parser on what is a quoted string.  Runs
 * in the master; the input is the operator's own file, not a client's. */
#include "config/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include "base/buf.h"
#include "base/fdio.h"

#define FILE_SIZE_MAX (1024 * 1024)

/* Walks over the text as the parser will. */
struct scanner {
	char *p;
	unsigned line;
	unsigned depth;
	unsigned open_line;    /* where what is open was opened; 0: nothing is */
	const char *open_what; /* a brace (the outermost one), "${" or a comment */
	unsigned star_line;    /* of the first star outside of quotes; 0: none */
};

void report_mistake(struct report *r, unsigned line, const char *format, ...)
{
	va_list arguments;

	r->mistakes++;
	if (line == 0)
		(void)fputs("sinkd: ", r->errors);
	else
		(void)fprintf(r->errors, "%s:%u: ", r->file, line);
	va_start(arguments, format);
	(void)vfprintf(r->errors, format, arguments);
	va_end(arguments);
	(void)putc('\n', r->errors);
}

static int read_text(int fd, struct buf *out)
{
	char piece[4096];
	ssize_t n;

	while ((n = fdio_read(fd, piece, sizeof(piece))) > 0) {
		if (memchr(piece, '\0', (size_t)n) != NULL)
			return -EILSEQ;
		if (!buf_add(out, piece, (size_t)n))
			return -EFBIG;
	}
	return (int)n;
}

static int read_file(struct report *r, struct buf *out)
{
	int fd = open(r->file, O_RDONLY | O_CLOEXEC);
	int error = fd < 0 ? -errno : read_text(fd, out);

	if (error < 0)
		report_mistake(r, 0, "cannot read '%s': %s", r->file,
			error == -EILSEQ ? "not a text file" : strerror(-error));
	(void)fdio_close(&fd);
	return error;
}

static void scan_step(struct scanner *s)
{
	if (*s->p == '\n')
		s->line++;
	s->p++;
}

/* "${NAME}": to the parser all up to the brace is the name, quotes and line ends too,
 * and the lines after it are miscounted; so it must end in its line. */
static void scan_variable(struct scanner *s)
{
	s->p += strcspn(s->p, "}\n");
	if (*s->p == '}') {
		s->p++;
		return;
	}
	s->open_line = s->line;
	s->open_what = "${";
	s->p += strlen(s->p);
}

static bool is_variable(const char *p)
{
	return p[0] == '$' && p[1] == '{';
}

/* At a quote.  A backslash takes the next character along. */
static void scan_quoted(struct scanner *s)
{
	char quote = *s->p;

	scan_step(s);
	while (*s->p != '\0' && *s->p != quote) {
		if (quote == '"' && is_variable(s->p)) {
			scan_variable(s);
			continue;
		}
		if (*s->p == '\\' && s->p[1] != '\0')
			scan_step(s);
		scan_step(s);
	}
	if (*s->p != '\0')
		s->p++;
}

static void scan_blank(struct scanner *s, const char *stop)
{
	while (s->p < stop) {
		if (*s->p != '\n')
			*s->p = ' ';
		scan_step(s);
	}
}

static void scan_line_comment(struct scanner *s)
{
	scan_blank(s, s->p + strcspn(s->p, "\n"));
}

static void scan_block_comment(struct scanner *s)
{
	const char *end = strstr(s->p + 2, "*/");

	if (end == NULL) {
		s->open_line = s->line;
		s->open_what = "comment";
	}
	scan_blank(s, end == NULL ? s->p + strlen(s->p) : end + 2);
}

static void scan_brace(struct scanner *s)
{
	if (*s->p == '{' && s->depth++ == 0) {
		s->open_line = s->line;
		s->open_what = "brace";
	} else if (*s->p == '}' && s->depth > 0 && --s->depth == 0) {
		s->open_line = 0;
	}
	s->p++;
}

/* Slashes inside an unquoted word, as in /var//mail, are part of it. */
static bool is_word_start(const char *text, const char *p)
{
	return p == text || strchr(" \t\r\n{}()=+,*\"'", p[-1]) != NULL;
}

/* The parser would leave out a star without a word. */
static void scan_plain(struct scanner *s)
{
	if (*s->p == '*' && s->star_line == 0)
		s->star_line = s->line;
	scan_step(s);
}

static struct scanner scan_text(char *text)
{
	struct scanner s = {.p = text, .line = 1};

	while (*s.p != '\0') {
		if (*s.p == '"' || *s.p == '\'')
			scan_quoted(&s);
		else if (is_variable(s.p) && is_word_start(text, s.p))
			scan_variable(&s);
		else if (*s.p == '{' || *s.p == '}')
			scan_brace(&s);
		else if (*s.p == '#')
			scan_line_comment(&s);
		else if (strncmp(s.p, "//", 2) == 0 && is_word_start(text, s.p))
			scan_line_comment(&s);
		else if (strncmp(s.p, "/*", 2) == 0 && is_word_start(text, s.p))
			scan_block_comment(&s);
		else
			scan_plain(&s);
	}
	return s;
}

int source_read(struct report *r, struct buf *out)
{
	struct scanner end;
	int error;

	buf_init(out, FILE_SIZE_MAX);
	error = r->file == NULL ? 0 : read_file(r, out);
	if (error < 0)
		return error;
	if (!buf_add(out, "", 1)) {
		report_mistake(r, 0, "cannot read '%s': %s", r->file, strerror(EFBIG));
		return -EFBIG;
	}
	end = scan_text(out->p);
	if (end.open_line != 0) {
		report_mistake(
			r, end.open_line, "this %s is never closed", end.open_what);
		*out->p = '\0';
	} else if (end.star_line != 0) {
		report_mistake(r, end.star_line, "a '*' must stand in quotes");
		*out->p = '\0';
	}
	return 0;
}
