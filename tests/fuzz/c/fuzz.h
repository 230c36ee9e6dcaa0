/*
 * fuzz.h - what the fuzz targets share.
 *
 * A target takes any bytes and must come back: the sanitizers end the process at
 * a fault, REQUIRE at a broken promise.  libFuzzer drives it (`make fuzz`), or
 * driver.c (`make test`).
 */
#ifndef SOCKER_FUZZ_H
#define SOCKER_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(promise)							\
	do {									\
		if (!(promise)) {						\
			fprintf(stderr, "%s:%d: not kept: %s\n", __FILE__,	\
				__LINE__, #promise);				\
			abort();						\
		}								\
	} while (0)

/* stubs.c: a new NUL-terminated copy, with NULs within left as they are. */
char *text_of(const uint8_t *data, size_t size);
/* A descriptor that is the lowest free one: equal before and after, none was leaked. */
int lowest_descriptor(void);

/* stubs.c: the environment that spank_setenv and the like change. */
#define STUB_VARIABLES 64
extern char *stub_environment[STUB_VARIABLES + 1];
void stub_reset(void);

#endif
