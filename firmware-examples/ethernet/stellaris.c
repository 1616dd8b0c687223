// Ethernet controller of the Stellaris LM3S6965. In both directions the two bytes in front of a
// frame are its length.
#include "ethernet.h"

#define REG(offset)   (*(volatile uint32_t *)(0x40048000u + (offset)))
#define RCGC2         (*(volatile uint32_t *)0x400FE108u)
#define RCGC2_MAC_PHY (1u << 28 | 1u << 30)
#define MAC_IM        REG(0x04)
#define MAC_RCTL      REG(0x08)
#define MAC_TCTL      REG(0x0C)
#define MAC_DATA      REG(0x10)
#define MAC_IA0       REG(0x14)
#define MAC_IA1       REG(0x18)
#define MAC_NP        REG(0x34)
#define MAC_TR        REG(0x38)
#define RCTL_ON       (1u << 0 | 1u << 3 | 1u << 4)           // Bad ones rejected, memory emptied.
#define TCTL_ON       (1u << 0 | 1u << 1 | 1u << 2 | 1u << 4) // Filled up, with checksum, duplex.
#define TR_NEW        1u
#define CHECKSUM      4u
#define HEADER        14u // Of Ethernet: not counted in the length of what is sent.

static uint32_t first_word; // Taken already, for the length in it.
static size_t words_left;   // Of the frame that is being received.
static bool has_first;
static uint32_t send_len;
static bool is_first;

bool ethernet_start(const uint8_t mac[static 6])
{
    RCGC2 |= RCGC2_MAC_PHY;
    (void)RCGC2; // The clock needs a moment.
    MAC_IM = 0;
    MAC_IA0 = mac[0] | (uint32_t)mac[1] << 8 | (uint32_t)mac[2] << 16 | (uint32_t)mac[3] << 24;
    MAC_IA1 = mac[4] | (uint32_t)mac[5] << 8;
    MAC_TCTL = TCTL_ON;
    MAC_RCTL = RCTL_ON;
    return true;
}

size_t ethernet_receive(void)
{
    while ((MAC_NP & 0x3Fu) != 0) {
        first_word = MAC_DATA;
        has_first = true;
        size_t len = first_word & 0xFFFFu; // With itself and the checksum.
        words_left = (len + 3) / 4;
        if (len > ETHERNET_PAD + CHECKSUM && len <= ETHERNET_PAD + ETHERNET_FRAME_MAX + CHECKSUM) {
            return len - ETHERNET_PAD - CHECKSUM;
        }
        ethernet_receive_end();
    }
    return 0;
}

uint32_t ethernet_take(void)
{
    uint32_t word = has_first ? first_word : MAC_DATA;
    has_first = false;
    words_left--;
    return word;
}

void ethernet_receive_end(void)
{
    while (words_left > 0) {
        (void)ethernet_take();
    }
    has_first = false;
}

bool ethernet_send(size_t len)
{
    if ((MAC_TR & TR_NEW) != 0) {
        return false;
    }
    send_len = (uint32_t)len - HEADER;
    is_first = true;
    return true;
}

void ethernet_put(uint32_t word)
{
    MAC_DATA = is_first ? (word & 0xFFFF0000u) | send_len : word;
    is_first = false;
}

void ethernet_send_end(void)
{
    MAC_TR = TR_NEW;
}
