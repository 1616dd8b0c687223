// lwipopts.h - lwIP for one MQTT connection on a controller: no threads, no malloc, 11 KB of RAM.
#ifndef LWIPOPTS_H
#define LWIPOPTS_H

#define NO_SYS               1
#define SYS_LIGHTWEIGHT_PROT 0 // Driver and stack run in the same loop.
#define LWIP_SOCKET          0
#define LWIP_NETCONN         0

#define LWIP_DHCP           1
#define LWIP_DNS            1
#define DNS_MAX_NAME_LENGTH 64
#define DNS_TABLE_SIZE      2
#define LWIP_RAW            0
#define LWIP_ICMP           1
#define IP_FRAG             0 // Segments of 536 bytes pass everywhere in one piece.
#define IP_REASSEMBLY       0

#define ETH_PAD_SIZE            2 // IP headers on addresses that are multiples of four.
#define MEM_ALIGNMENT           4
#define MEM_SIZE                4096 // What is sent and not acknowledged yet.
#define MEMP_NUM_TCP_PCB        3
#define MEMP_NUM_TCP_PCB_LISTEN 1
#define MEMP_NUM_PBUF           8
#define MEMP_NUM_TCP_SEG        12
#define TCP_MSS                 536
#define TCP_WND                 (4 * TCP_MSS)
#define TCP_SND_BUF             (4 * TCP_MSS)
#define TCP_SND_QUEUELEN        10
#define PBUF_POOL_SIZE          8 // Holds the whole window.
#define TCP_LISTEN_BACKLOG      0

#define LWIP_HOOK_TCP_ISN(local_ip, local_port, remote_ip, remote_port) lwip_random()

#define LWIP_STATS          0
#define LWIP_HAVE_LOOPIF    0
#define LWIP_NETIF_LOOPBACK 0

#endif
