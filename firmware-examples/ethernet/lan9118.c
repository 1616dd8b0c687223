// SMSC LAN9118, as on Arm's MPS2 boards.
#include "ethernet.h"

#define REG(offset)        (*(volatile uint32_t *)(0x40200000u + (offset)))
#define RX_DATA            REG(0x00)
#define TX_DATA            REG(0x20)
#define RX_STATUS          REG(0x40)
#define TX_STATUS          REG(0x48)
#define BYTE_TEST          REG(0x64)
#define RX_CFG             REG(0x6C)
#define TX_CFG             REG(0x70)
#define HW_CFG             REG(0x74)
#define RX_FIFO_INF        REG(0x7C)
#define TX_FIFO_INF        REG(0x80)
#define PMT_CTRL           REG(0x84)
#define MAC_CSR_CMD        REG(0xA4)
#define MAC_CSR_DATA       REG(0xA8)
#define IS_LAN9118         0x87654321u
#define PMT_READY          1u
#define HW_RESET           1u
#define HW_STORE           (5u << 16 | 1u << 20) // 5 KB of it for sending, whole frames only.
#define RX_PAD             (ETHERNET_PAD << 8)
#define TX_ON              (1u << 1 | 1u << 2)   // Nobody has to read the results.
#define COMMAND_ONLY       (1u << 12 | 1u << 13) // First and last piece of its frame.
#define MAC_BUSY           (1u << 31)
#define MAC_CR             1u
#define MAC_ADDRESS_HIGH   2u
#define MAC_ADDRESS_LOW    3u
#define MAC_CR_ON          (1u << 2 | 1u << 3)
#define STATUS_LEN(status) (((status) >> 16) & 0x3FFFu)
#define STATUS_BAD         (1u << 15)
#define CHECKSUM           4u
#define POLLS_MAX          100000u

static size_t words_left; // Of the frame that is being received.

static bool wait_for(volatile uint32_t *reg, uint32_t mask, uint32_t value)
{
    for (uint32_t i = 0; i < POLLS_MAX; i++) {
        if ((*reg & mask) == value) {
            return true;
        }
    }
    return false;
}

static void mac_write(uint32_t number, uint32_t value)
{
    (void)wait_for(&MAC_CSR_CMD, MAC_BUSY, 0);
    MAC_CSR_DATA = value;
    MAC_CSR_CMD = MAC_BUSY | number;
    (void)wait_for(&MAC_CSR_CMD, MAC_BUSY, 0);
}

bool ethernet_start(const uint8_t mac[static 6])
{
    if (!wait_for(&PMT_CTRL, PMT_READY, PMT_READY) || BYTE_TEST != IS_LAN9118) {
        return false;
    }
    HW_CFG = HW_RESET;
    if (!wait_for(&HW_CFG, HW_RESET, 0)) {
        return false;
    }
    HW_CFG = HW_STORE;
    RX_CFG = RX_PAD;
    TX_CFG = TX_ON;
    mac_write(MAC_ADDRESS_LOW,
              mac[0] | (uint32_t)mac[1] << 8 | (uint32_t)mac[2] << 16 | (uint32_t)mac[3] << 24);
    mac_write(MAC_ADDRESS_HIGH, mac[4] | (uint32_t)mac[5] << 8);
    mac_write(MAC_CR, MAC_CR_ON);
    return true;
}

static size_t words_of(size_t len)
{
    return (ETHERNET_PAD + len + 3) / 4;
}

size_t ethernet_receive(void)
{
    while ((RX_FIFO_INF >> 16 & 0xFFu) != 0) {
        uint32_t status = RX_STATUS;
        size_t len = STATUS_LEN(status);
        words_left = words_of(len);
        if ((status & STATUS_BAD) == 0 && len > CHECKSUM && len <= ETHERNET_FRAME_MAX + CHECKSUM) {
            return len - CHECKSUM;
        }
        ethernet_receive_end();
    }
    return 0;
}

uint32_t ethernet_take(void)
{
    words_left--;
    return RX_DATA;
}

void ethernet_receive_end(void)
{
    for (; words_left > 0; words_left--) {
        (void)RX_DATA;
    }
}

bool ethernet_send(size_t len)
{
    while ((TX_FIFO_INF >> 16 & 0xFFu) != 0) {
        (void)TX_STATUS;
    }
    if ((TX_FIFO_INF & 0xFFFFu) < (words_of(len) + 2) * 4) {
        return false;
    }
    TX_DATA = COMMAND_ONLY | ETHERNET_PAD << 16 | (uint32_t)len;
    TX_DATA = (uint32_t)len;
    return true;
}

void ethernet_put(uint32_t word)
{
    TX_DATA = word;
}

void ethernet_send_end(void)
{
}
