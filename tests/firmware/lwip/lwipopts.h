// lwipopts.h - the example's lwIP with a loopback in it, and listeners for the tests' own peers.
#include "../../../firmware-examples/ethernet/lwipopts.h"

#undef LWIP_STATS
#undef MEMP_NUM_TCP_PCB
#undef MEMP_NUM_TCP_SEG
#undef MEMP_NUM_TCP_PCB_LISTEN
#undef MEMP_NUM_PBUF
#undef MEM_SIZE
#undef MEM_ALIGNMENT
#undef PBUF_POOL_SIZE
#undef LWIP_DHCP

#define LWIP_DHCP               0
#define MEM_ALIGNMENT           8
#define MEM_SIZE                16384 // The peers' share included.
#define MEMP_NUM_TCP_PCB        4     // Two of them the peers'.
#define MEMP_NUM_TCP_SEG        32
#define MEMP_NUM_TCP_PCB_LISTEN 1
#define MEMP_NUM_PBUF           16
#define PBUF_POOL_SIZE          24
#define LWIP_STATS              1
#define LWIP_STATS_DISPLAY      0
#define MEMP_OVERFLOW_CHECK     0
#ifdef TEST_HEAP // What is used after it was freed shows in the sanitizer.
#define MEM_LIBC_MALLOC 1
#define MEMP_MEM_MALLOC 1
#endif
