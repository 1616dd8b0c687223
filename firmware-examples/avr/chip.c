#include "chip.h"

#include <avr/eeprom.h>
#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/sleep.h>
#include <util/atomic.h>

#define RING_BYTES 64u // A power of two.
#define DCD        PD3
#define DTR        PD4
#define EXIT_FLAG  0x80u

static volatile uint8_t ring[RING_BYTES];
static volatile uint8_t ring_head, ring_tail;
static volatile uint32_t ticks;

ISR(USART_RX_vect)
{
    uint8_t byte = UDR0;
    uint8_t next = (uint8_t)((ring_head + 1u) % RING_BYTES);
    if (next != ring_tail) {
        ring[ring_head] = byte;
        ring_head = next;
    }
}

ISR(TIMER0_COMPA_vect)
{
    ticks++;
}

void chip_init(void)
{
    UBRR0 = 16; // 115,200 baud at 16 MHz, 2.1 % fast.
    UCSR0A = _BV(U2X0);
    UCSR0B = _BV(RXCIE0) | _BV(RXEN0) | _BV(TXEN0);
    TCCR0A = _BV(WGM01); // Counts to OCR0A: 250 x 4 us.
    TCCR0B = _BV(CS01) | _BV(CS00);
    OCR0A = 249;
    TIMSK0 = _BV(OCIE0A);
    DDRD |= _BV(DTR);
    ADMUX = _BV(REFS0); // A0 against the supply of 5 V.
    ADCSRA = _BV(ADEN) | _BV(ADPS2) | _BV(ADPS1) | _BV(ADPS0);
    SMCR = 0; // Idle: the UART and the timer go on.
    sei();
}

uint32_t chip_now_ms(void)
{
    uint32_t now;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE)
    {
        now = ticks;
    }
    return now;
}

void chip_sleep(void)
{
    sleep_mode();
}

uint32_t chip_boot_count(void)
{
    static uint32_t *const place = (uint32_t *)0;
    uint32_t count = eeprom_read_dword(place) + 1; // 0xFFFFFFFF as delivered.
    if (count == 0) {
        count = 1;
    }
    eeprom_update_dword(place, count);
    eeprom_busy_wait();
    return count;
}

uint16_t chip_millivolts(void)
{
    ADCSRA |= _BV(ADSC);
    while ((ADCSRA & _BV(ADSC)) != 0) {
    }
    return (uint16_t)((uint32_t)ADC * 5000u / 1023u);
}

// ---- modem -------------------------------------------------------------------------------------

static int32_t modem_write(struct pipit_transport *transport, const uint8_t *ptr, size_t len)
{
    (void)transport;
    if ((PIND & _BV(DCD)) == 0) {
        return PIPIT_ERR_UNREACHABLE;
    }
    if (len == 0 || (UCSR0A & _BV(UDRE0)) == 0) {
        return 0;
    }
    UDR0 = *ptr;
    return 1;
}

static int32_t modem_read(struct pipit_transport *transport, uint8_t *ptr, size_t size)
{
    uint8_t count = 0;
    (void)transport;
    while (count < size && ring_tail != ring_head) {
        ptr[count++] = ring[ring_tail];
        ring_tail = (uint8_t)((ring_tail + 1u) % RING_BYTES);
    }
    return count != 0 || (PIND & _BV(DCD)) != 0 ? count : (int32_t)PIPIT_ERR_UNREACHABLE;
}

static enum pipit_err modem_open(struct pipit_transport *transport, uint32_t now_ms)
{
    (void)transport;
    (void)now_ms;
    PORTD |= _BV(DTR);
    return (PIND & _BV(DCD)) != 0 ? PIPIT_OK : PIPIT_ERR_BUSY;
}

static void modem_close(struct pipit_transport *transport)
{
    (void)transport;
    PORTD &= (uint8_t)~_BV(DTR);
    ring_tail = ring_head; // What the former connection still brought.
}

static const struct pipit_transport_type modem_type = {
    .write = modem_write, .read = modem_read, .open = modem_open, .close = modem_close};

struct pipit_transport chip_modem = {&modem_type};

// ---- for the simulator -------------------------------------------------------------------------

void chip_print(const char *text)
{
    for (; *text != '\0'; text++) {
        GPIOR1 = (uint8_t)*text;
    }
}

void chip_exit(uint8_t status)
{
    GPIOR0 = (uint8_t)(EXIT_FLAG | status);
    cli();
    for (;;) {
        sleep_mode();
    }
}
