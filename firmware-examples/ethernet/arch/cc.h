// cc.h - what lwIP wants to know of the compiler. The rest lwIP takes from stdint.h itself.
#ifndef ARCH_CC_H
#define ARCH_CC_H

#include <limits.h>
#include <stdint.h>
#include <sys/types.h> // ssize_t

#define LWIP_NO_INTTYPES_H 1
#define LWIP_NO_UNISTD_H   1
#define LWIP_NO_CTYPE_H    1
#ifndef SSIZE_MAX
#define SSIZE_MAX INT_MAX // Keeps lwIP from a ssize_t of its own.
#endif
#define X8_F  "x"
#define U16_F "u"
#define S16_F "d"
#define X16_F "x"
#define U32_F "u"
#define S32_F "d"
#define X32_F "x"
#define SZT_F "u"

_Noreturn void lwip_assertion(unsigned line);
uint32_t lwip_random(void);

// The texts of lwIP's 300 assertions would be a tenth of the program.
#define LWIP_PLATFORM_ASSERT(text) lwip_assertion(__LINE__)
#define LWIP_RAND()                lwip_random()

#endif
