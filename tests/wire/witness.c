/* A command for pipe sections that tells what it was given.
 *
 *   witness tell DIRECTORY ...
 *       A file in the directory, named so that the names sort as the runs began, appears
 *       when all of it is there: parts, each "NAME LENGTH\n" and so many bytes and "\n".
 *       What else there is on the command line is for the part `arguments`.
 *   witness count FILE [MS]
 *       One line is added to the file, in one write: token, size, and checksum (CRC-32)
 *       of the message, in which X-Token is the first field.  With MS, one run of eight
 *       takes so long. */
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DESCRIPTORS_MAX 65536

static void fail(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

struct message {
	const char *p;
	size_t n;
};

/* A message without bytes cannot be mapped. */
static struct message map_message(void)
{
	struct message m = {"", 0};
	struct stat st;

	if (fstat(STDIN_FILENO, &st) < 0)
		fail("fstat");
	m.n = (size_t)st.st_size;
	if (m.n > 0)
		m.p = mmap(NULL, m.n, PROT_READ, MAP_PRIVATE, STDIN_FILENO, 0);
	if (m.p == MAP_FAILED)
		fail("mmap");
	return m;
}

/* ---------------------------------------------------------------------- tell */

static void put(FILE *out, const char *name, const void *p, size_t n)
{
	fprintf(out, "%s %zu\n", name, n);
	fwrite(p, 1, n, out);
	putc('\n', out);
}

static void put_list(FILE *out, const char *name, char *const *list)
{
	static char bytes[1024 * 1024];
	size_t n = 0;

	for (; *list != NULL; list++) {
		size_t length = strlen(*list) + 1;

		if (length > sizeof(bytes) - n)
			fail("too much");
		memcpy(bytes + n, *list, length);
		n += length;
	}
	put(out, name, bytes, n);
}

static void put_number(FILE *out, const char *name, long number)
{
	char text[32];

	put(out, name, text, (size_t)snprintf(text, sizeof(text), "%ld", number));
}

static void put_file(FILE *out, const char *path, const char *name)
{
	static char bytes[16384];
	FILE *in = fopen(path, "re");

	if (in == NULL)
		fail(path);
	put(out, name, bytes, fread(bytes, 1, sizeof(bytes), in));
	fclose(in);
}

/* Before any of our own is opened. */
static size_t list_descriptors(char *text, size_t size)
{
	size_t n = 0;

	for (int fd = 0; fd < DESCRIPTORS_MAX; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			n += (size_t)snprintf(text + n, size - n, "%d ", fd);
	return n;
}

/* By mapping and by reading, which must give the same. */
static void put_input(FILE *out)
{
	off_t offset = lseek(STDIN_FILENO, 0, SEEK_CUR);
	struct message m = map_message();
	char *copy = malloc(m.n + 1);
	size_t n = 0;
	ssize_t got;
	struct stat st;

	if (copy == NULL || fstat(STDIN_FILENO, &st) < 0)
		fail("input");
	while ((got = read(STDIN_FILENO, copy + n, m.n + 1 - n)) > 0)
		n += (size_t)got;
	put_number(out, "input.offset", offset);
	put_number(out, "input.flags", fcntl(STDIN_FILENO, F_GETFL) & O_ACCMODE);
	put_number(out, "input.is_regular", S_ISREG(st.st_mode));
	put_number(out, "input.links", (long)st.st_nlink);
	put_number(
		out, "input.is_same", got == 0 && n == m.n && memcmp(copy, m.p, n) == 0);
	/* What it can do to the file that others may be reading. */
	put_number(out, "input.can_write", write(STDIN_FILENO, "x", 1) == 1);
	put(out, "message", m.p, m.n);
	free(copy);
}

static void tell(const char *directory, char **arguments, char **environment)
{
	static char path[4096], hidden[4096], where[4096], descriptors[4096];
	size_t n = list_descriptors(descriptors, sizeof(descriptors));
	int signal_of_death = 0;
	struct timespec now;
	FILE *out;

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(path, sizeof(path), "%s/%012ld.%09ld.%ld", directory, (long)now.tv_sec,
		now.tv_nsec, (long)getpid());
	snprintf(hidden, sizeof(hidden), "%s/.%ld", directory, (long)getpid());
	out = fopen(hidden, "wxe");
	if (out == NULL)
		fail(hidden);
	put_list(out, "arguments", arguments);
	put_list(out, "environment", environment);
	put(out, "descriptors", descriptors, n);
	if (getcwd(where, sizeof(where)) == NULL ||
		prctl(PR_GET_PDEATHSIG, &signal_of_death) < 0)
		fail("facts");
	put(out, "directory", where, strlen(where));
	put_number(out, "pid", getpid());
	put_number(out, "parent", getppid());
	put_number(out, "group", getpgrp());
	put_number(out, "session", getsid(0));
	put_number(out, "signal_of_death", signal_of_death);
	put_file(out, "/proc/self/status", "status");
	put_file(out, "/proc/self/limits", "limits");
	put_input(out);
	if (fclose(out) != 0 || rename(hidden, path) < 0)
		fail(path);
}

/* --------------------------------------------------------------------- count */

static uint32_t checksum(struct message m)
{
	uint32_t table[256], crc = UINT32_MAX;

	for (uint32_t i = 0; i < 256; i++) {
		table[i] = i;
		for (int bit = 0; bit < 8; bit++)
			table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xedb88320 : 0);
	}
	for (size_t i = 0; i < m.n; i++)
		crc = crc >> 8 ^ table[(crc ^ (unsigned char)m.p[i]) & 255];
	return ~crc;
}

static void count(const char *path, int ms)
{
	static const char field[] = "X-Token: ";
	struct message m = map_message();
	const char *token = m.p + sizeof(field) - 1, *end;
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	char line[256];
	int n;

	if (fd < 0)
		fail(path);
	end = m.n < sizeof(field) ? NULL : memchr(token, '\n', m.n - sizeof(field));
	if (end == NULL || memcmp(m.p, field, sizeof(field) - 1) != 0)
		token = "none", end = token + 4;
	if (ms > 0 && getpid() % 8 == 0)
		(void)poll(NULL, 0, ms);
	n = snprintf(line, sizeof(line), "%.*s %zu %08x\n", (int)(end - token), token,
		m.n, checksum(m));
	if (write(fd, line, (size_t)n) != n)
		fail("write");
}

int main(int argc, char **argv, char **environment)
{
	if (argc >= 3 && strcmp(argv[1], "tell") == 0)
		tell(argv[2], argv, environment);
	else if (argc >= 3 && strcmp(argv[1], "count") == 0)
		count(argv[2], argc > 3 ? (int)strtol(argv[3], NULL, 10) : 0);
	else
		return EXIT_FAILURE;
	return EXIT_SUCCESS;
}
