#include "network.h"

#include <lwip/dhcp.h>
#include <lwip/etharp.h>
#include <lwip/init.h>
#include <lwip/sys.h>
#include <lwip/timeouts.h>
#include <netif/ethernet.h>
#include <string.h>

#include "board.h"
#include "ethernet.h"

#define FRAMES_MAX     8 // Taken in at one poll.
#define ASSERTION_CODE 80
#define NETMASK_BITS   24
#ifndef ETHERNET_DROP_EVERY
#define ETHERNET_DROP_EVERY 0 // For tests: each frame of that number is lost, both ways.
#endif

_Static_assert(ETH_PAD_SIZE == ETHERNET_PAD, "frames are handed on as they come");

static struct netif netif;
static uint32_t random_state;

// ---- what lwIP asks for ------------------------------------------------------------------------

u32_t sys_now(void)
{
    return board_now_ms();
}

// xorshift, for ports and timing.
uint32_t lwip_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state;
}

_Noreturn void lwip_assertion(unsigned line)
{
    board_print("lwIP's assertion in line ");
    board_print_number(line);
    board_print("\n");
    board_exit(ASSERTION_CODE);
}

// ---- frames ------------------------------------------------------------------------------------

static bool is_dropped(void)
{
#if ETHERNET_DROP_EVERY > 0
    static unsigned frames;
    return ++frames % ETHERNET_DROP_EVERY == 0;
#else
    return false;
#endif
}

// Pieces of a frame have any length; the chip wants words.
static void put_frame(const struct pbuf *p)
{
    uint32_t word = 0;
    unsigned filled = 0;
    for (const struct pbuf *piece = p; piece != NULL; piece = piece->next) {
        const uint8_t *bytes = (const uint8_t *)piece->payload;
        for (unsigned i = 0; i < piece->len; i++) {
            word |= (uint32_t)bytes[i] << 8 * filled;
            if (++filled == sizeof(word)) {
                ethernet_put(word);
                word = 0;
                filled = 0;
            }
        }
    }
    if (filled > 0) {
        ethernet_put(word);
    }
}

static err_t on_output(struct netif *unused, struct pbuf *p)
{
    (void)unused;
    if (is_dropped()) {
        return ERR_OK;
    }
    if (!ethernet_send((size_t)p->tot_len - ETHERNET_PAD)) {
        return ERR_BUF;
    }
    put_frame(p);
    ethernet_send_end();
    return ERR_OK;
}

// All pieces but the last are multiples of four bytes long.
static void take_frame(struct pbuf *p)
{
    for (struct pbuf *piece = p; piece != NULL; piece = piece->next) {
        for (unsigned i = 0; i < piece->len; i += sizeof(uint32_t)) {
            uint32_t word = ethernet_take();
            unsigned rest = piece->len - i;
            (void)memcpy((uint8_t *)piece->payload + i, &word,
                         rest < sizeof(word) ? rest : sizeof(word));
        }
    }
}

static void receive(size_t len)
{
    struct pbuf *p =
        is_dropped() ? NULL : pbuf_alloc(PBUF_RAW, (u16_t)(len + ETHERNET_PAD), PBUF_POOL);
    if (p != NULL) {
        take_frame(p);
    }
    ethernet_receive_end();
    if (p != NULL && netif.input(p, &netif) != ERR_OK) {
        (void)pbuf_free(p);
    }
}

// ---- interface ---------------------------------------------------------------------------------

// Locally administered, and different on each board.
static void choose_mac(uint8_t mac[static 6])
{
    uint32_t low = lwip_random();
    mac[0] = 0x02;
    mac[1] = 0x50;
    (void)memcpy(mac + 2, &low, sizeof(low));
}

static err_t on_init(struct netif *made)
{
    choose_mac(made->hwaddr);
    made->hwaddr_len = sizeof(made->hwaddr);
    made->mtu = 1500;
    made->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_LINK_UP;
    made->name[0] = 'e';
    made->name[1] = 'n';
    made->output = etharp_output;
    made->linkoutput = on_output;
    return ethernet_start(made->hwaddr) ? ERR_OK : ERR_IF;
}

// "ours/router's"
static bool set_address(const char *text)
{
    ip4_addr_t ours, router, mask;
    char first[NETWORK_ADDRESS_BYTES];
    const char *slash = strchr(text, '/');
    if (slash == NULL || (size_t)(slash - text) >= sizeof(first)) {
        return false;
    }
    (void)memcpy(first, text, (size_t)(slash - text));
    first[slash - text] = '\0';
    if (ip4addr_aton(first, &ours) == 0 || ip4addr_aton(slash + 1, &router) == 0) {
        return false;
    }
    ip4_addr_set_u32(&mask, lwip_htonl(UINT32_MAX << (32 - NETMASK_BITS)));
    netif_set_addr(&netif, &ours, &mask, &router);
    return true;
}

bool network_start(const char *address, uint32_t seed)
{
    random_state = seed != 0 ? seed : 1; // 0 would stay 0.
    lwip_init();
    if (netif_add_noaddr(&netif, NULL, on_init, ethernet_input) == NULL) {
        return false;
    }
    netif_set_default(&netif);
    netif_set_up(&netif);
    return address != NULL ? set_address(address) : dhcp_start(&netif) == ERR_OK;
}

void network_poll(void)
{
    size_t len;
    for (int i = 0; i < FRAMES_MAX && (len = ethernet_receive()) > 0; i++) {
        receive(len);
    }
    sys_check_timeouts();
}

bool network_has_address(void)
{
    return netif_is_up(&netif) && !ip4_addr_isany(netif_ip4_addr(&netif));
}

void network_print_address(char text[static NETWORK_ADDRESS_BYTES])
{
    (void)ip4addr_ntoa_r(netif_ip4_addr(&netif), text, NETWORK_ADDRESS_BYTES);
}
