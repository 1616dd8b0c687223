// simavr_host - runs an ATmega328P program under libsimavr with a modem at its UART.
//
// usage: simavr_host [-e EEPROM] [-a MILLIVOLTS] [-t SECONDS] PROGRAM.elf PORT
//
// The modem is in transparent mode: what the program sends goes to 127.0.0.1:PORT and back. It
// dials while DTR (PD4) is high, shows a connection by DCD (PD3) high, and hangs up when DTR falls.
// Pin A0 carries MILLIVOLTS. The file EEPROM is the chip's EEPROM and is kept up to date. The
// program's own words come by GPIOR1, a byte each, and its exit status by GPIOR0 (0x80 + status),
// which a real chip ignores. Simulated time does not run ahead of the clock on the wall.
// Ends with the program's status, 124 after SECONDS, 125 when the program crashes; the last line is
// "simavr: cycles=N stack=B", B bytes being the deepest stack seen at any instruction.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <simavr/avr_adc.h>
#include <simavr/avr_eeprom.h>
#include <simavr/avr_ioport.h>
#include <simavr/avr_uart.h>
#include <simavr/sim_avr.h>
#include <simavr/sim_elf.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FREQUENCY_HZ   16000000u
#define EEPROM_BYTES   1024u
#define RAM_BEGIN      0x100u
#define RAM_END        0x900u
#define GPIOR0         0x3Eu // Data addresses.
#define GPIOR1         0x4Au
#define SP_LOW         0x5Du
#define PIN_DCD        3
#define PIN_DTR        4
#define STEP_CYCLES    16000u // The modem and the clock are looked at once a simulated millisecond.
#define LEAD_NS_MAX    2000000
#define REDIAL_CYCLES  (FREQUENCY_HZ / 5)
#define STATUS_TIMEOUT 124
#define STATUS_CRASH   125

struct host {
    avr_t *avr;
    avr_irq_t *uart_input;
    avr_irq_t *dcd;
    const char *eeprom_path;
    uint64_t dial_at; // Cycle of the next attempt.
    uint16_t port;
    uint16_t sp_min;
    int fd;               // -1: not connected.
    int exit_status;      // -1: still running.
    bool is_ready;        // DTR.
    bool can_take;        // The UART has room.
    uint8_t waiting[256]; // Received, not given to the UART yet.
    size_t waiting_len;
    size_t waiting_at;
};

static void die(const char *what, const char *detail)
{
    fprintf(stderr, "simavr_host: %s: %s\n", what, detail);
    exit(STATUS_CRASH);
}

// ---- the modem ---------------------------------------------------------------------------------

static void hang_up(struct host *host)
{
    if (host->fd >= 0) {
        (void)close(host->fd);
    }
    host->fd = -1;
    host->waiting_len = host->waiting_at = 0;
    host->dial_at = host->avr->cycle + REDIAL_CYCLES;
    avr_raise_irq(host->dcd, 0);
}

// A connect to this machine answers at once, so it may block.
static void dial(struct host *host)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(host->port)};
    int on = 1;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    host->dial_at = host->avr->cycle + REDIAL_CYCLES;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof(to)) != 0) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return;
    }
    // Single bytes leave at once: otherwise each answer waits 40 ms for a delayed acknowledgement.
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)fcntl(fd, F_SETFL, O_NONBLOCK);
    host->fd = fd;
    avr_raise_irq(host->dcd, 1);
}

static void give(struct host *host)
{
    while (host->can_take && host->waiting_at < host->waiting_len) {
        avr_raise_irq(host->uart_input, host->waiting[host->waiting_at++]);
    }
}

static void receive(struct host *host)
{
    if (host->waiting_at < host->waiting_len) {
        return;
    }
    ssize_t len = recv(host->fd, host->waiting, sizeof(host->waiting), 0);
    if (len == 0 || (len < 0 && errno != EAGAIN && errno != EINTR)) {
        hang_up(host);
        return;
    }
    host->waiting_at = 0;
    host->waiting_len = len > 0 ? (size_t)len : 0;
}

static void modem_step(struct host *host)
{
    if (host->fd < 0 && host->is_ready && host->avr->cycle >= host->dial_at) {
        dial(host);
    }
    if (host->fd >= 0) {
        receive(host);
    }
    give(host);
}

// ---- what the chip does ------------------------------------------------------------------------

// A byte sent while nobody is connected is gone, as on a wire.
static void on_uart_byte(avr_irq_t *irq, uint32_t value, void *context)
{
    struct host *host = context;
    uint8_t byte = (uint8_t)value;
    struct pollfd writable = {.fd = host->fd, .events = POLLOUT};
    (void)irq;
    if (host->fd < 0) {
        return;
    }
    while (send(host->fd, &byte, 1, MSG_NOSIGNAL) < 0) {
        if (errno != EAGAIN || poll(&writable, 1, 1000) <= 0) {
            hang_up(host);
            return;
        }
    }
}

static void on_uart_room(avr_irq_t *irq, uint32_t value, void *context)
{
    struct host *host = context;
    (void)irq;
    (void)value;
    host->can_take = true;
    give(host);
}

static void on_uart_full(avr_irq_t *irq, uint32_t value, void *context)
{
    (void)irq;
    (void)value;
    ((struct host *)context)->can_take = false;
}

static void on_dtr(avr_irq_t *irq, uint32_t value, void *context)
{
    struct host *host = context;
    (void)irq;
    host->is_ready = value != 0;
    if (!host->is_ready && host->fd >= 0) {
        hang_up(host);
    }
    host->dial_at = host->avr->cycle;
}

static void on_exit_register(avr_t *avr, avr_io_addr_t address, uint8_t value, void *context)
{
    struct host *host = context;
    avr->data[address] = value;
    if ((value & 0x80u) != 0) {
        host->exit_status = value & 0x7F;
    }
}

static void on_text_register(avr_t *avr, avr_io_addr_t address, uint8_t value, void *context)
{
    (void)context;
    avr->data[address] = value;
    (void)putchar(value);
}

// ---- the chip ----------------------------------------------------------------------------------

static void chip_create(struct host *host, const char *path, uint32_t millivolts)
{
    static elf_firmware_t firmware;
    uint32_t flags = 0;
    if (elf_read_firmware(path, &firmware) != 0) {
        die(path, "not an AVR program: build it with avr-gcc -mmcu=atmega328p");
    }
    avr_t *avr = avr_make_mcu_by_name("atmega328p");
    if (avr == NULL || avr_init(avr) != 0) {
        die("atmega328p", "libsimavr does not know it");
    }
    firmware.frequency = FREQUENCY_HZ;
    avr_load_firmware(avr, &firmware);
    host->avr = avr;
    host->uart_input = avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_INPUT);
    host->dcd = avr_io_getirq(avr, AVR_IOCTL_IOPORT_GETIRQ('D'), PIN_DCD);
    (void)avr_ioctl(avr, AVR_IOCTL_UART_SET_FLAGS('0'), &flags); // Neither echo nor naps.
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUTPUT),
                            on_uart_byte, host);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUT_XON),
                            on_uart_room, host);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUT_XOFF),
                            on_uart_full, host);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_IOPORT_GETIRQ('D'), PIN_DTR), on_dtr,
                            host);
    avr_register_io_write(avr, GPIOR0, on_exit_register, host);
    avr_register_io_write(avr, GPIOR1, on_text_register, host);
    avr->avcc = avr->vcc = avr->aref = 5000;
    avr_raise_irq(avr_io_getirq(avr, AVR_IOCTL_ADC_GETIRQ, ADC_IRQ_ADC0), millivolts);
}

static void no_sleep(avr_t *avr, avr_cycle_count_t cycles)
{
    (void)avr;
    (void)cycles;
}

static void eeprom_load(struct host *host)
{
    uint8_t memory[EEPROM_BYTES];
    avr_eeprom_desc_t part = {.ee = memory, .offset = 0, .size = EEPROM_BYTES};
    memset(memory, 0xFF, sizeof(memory)); // As delivered.
    FILE *file = host->eeprom_path != NULL ? fopen(host->eeprom_path, "rb") : NULL;
    if (file != NULL) {
        size_t len = fread(memory, 1, sizeof(memory), file);
        (void)fclose(file);
        if (len != sizeof(memory)) {
            die(host->eeprom_path, "not an EEPROM of 1024 bytes");
        }
    }
    (void)avr_ioctl(host->avr, AVR_IOCTL_EEPROM_SET, &part);
}

// Written only when it has changed, so that a kill at any time finds what the chip had.
static void eeprom_save(struct host *host)
{
    static uint8_t saved[EEPROM_BYTES];
    avr_eeprom_desc_t part = {.ee = NULL, .offset = 0, .size = EEPROM_BYTES};
    if (host->eeprom_path == NULL) {
        return;
    }
    (void)avr_ioctl(host->avr, AVR_IOCTL_EEPROM_GET, &part); // Says -1 also when it has answered.
    if (part.ee == NULL || memcmp(saved, part.ee, EEPROM_BYTES) == 0) {
        return;
    }
    memcpy(saved, part.ee, EEPROM_BYTES);
    int fd = open(host->eeprom_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0 || pwrite(fd, saved, EEPROM_BYTES, 0) != (ssize_t)EEPROM_BYTES) {
        die(host->eeprom_path, strerror(errno));
    }
    (void)close(fd);
}

static int64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

// Sleeps while the simulated time is ahead. A host too slow only makes the chip slower.
static void pace(const struct host *host, int64_t begin_ns)
{
    int64_t simulated_ns = (int64_t)(host->avr->cycle * 125 / 2);
    int64_t lead_ns = simulated_ns - (now_ns() - begin_ns);
    if (lead_ns > LEAD_NS_MAX) {
        struct timespec nap = {.tv_sec = 0, .tv_nsec = lead_ns < 100000000 ? lead_ns : 100000000};
        (void)nanosleep(&nap, NULL);
    }
}

// The pointer is 0 until the program's start has set it.
static void stack_watch(struct host *host)
{
    const uint8_t *data = host->avr->data;
    uint16_t sp = (uint16_t)(data[SP_LOW] | data[SP_LOW + 1] << 8);
    if (sp >= RAM_BEGIN && sp < host->sp_min) {
        host->sp_min = sp;
    }
}

static int run(struct host *host, uint32_t seconds)
{
    int64_t begin_ns = now_ns();
    uint64_t next = STEP_CYCLES;
    while (host->exit_status < 0) {
        int state = avr_run(host->avr);
        if (state == cpu_Done || state == cpu_Crashed) {
            return STATUS_CRASH;
        }
        stack_watch(host);
        if (host->avr->cycle < next) {
            continue;
        }
        next = host->avr->cycle + STEP_CYCLES;
        modem_step(host);
        eeprom_save(host);
        pace(host, begin_ns);
        if (now_ns() - begin_ns > (int64_t)seconds * 1000000000) {
            return STATUS_TIMEOUT;
        }
    }
    return host->exit_status;
}

static uint32_t number(const char *text, uint32_t max)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (*text == '\0' || *end != '\0' || value > max) {
        die(text, "not a number that is allowed here");
    }
    return (uint32_t)value;
}

int main(int argc, char **argv)
{
    struct host host = {.fd = -1, .exit_status = -1, .sp_min = RAM_END, .can_take = true};
    uint32_t millivolts = 1200, seconds = 60;
    int option;
    while ((option = getopt(argc, argv, "e:a:t:")) != -1) {
        switch (option) {
        case 'e':
            host.eeprom_path = optarg;
            break;
        case 'a':
            millivolts = number(optarg, 5000);
            break;
        case 't':
            seconds = number(optarg, 86400);
            break;
        default:
            return STATUS_CRASH;
        }
    }
    if (argc - optind != 2) {
        die("usage", "simavr_host [-e EEPROM] [-a MILLIVOLTS] [-t SECONDS] PROGRAM.elf PORT");
    }
    (void)setvbuf(stdout, NULL, _IOLBF, 0); // libsimavr prints too, and a reader waits for it.
    host.port = (uint16_t)number(argv[optind + 1], 65535);
    chip_create(&host, argv[optind], millivolts);
    host.avr->sleep = no_sleep;
    eeprom_load(&host);
    int status = run(&host, seconds);
    eeprom_save(&host);
    hang_up(&host);
    printf("simavr: cycles=%llu stack=%u\n", (unsigned long long)host.avr->cycle,
           RAM_END - 1u - host.sp_min);
    return status;
}
