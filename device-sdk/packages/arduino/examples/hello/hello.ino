// hello - the voltage at A0 each second, through a modem in transparent mode at the serial port.
// For an Uno assemble the library without what it has no room for: see README.md.
#include <EEPROM.h>
#include <pipit.h>

static const uint8_t MODEM_DTR = 4; // High: dial, and stay connected.

static uint8_t spool_memory[160], packet[104], received[64], sending[104];
static struct pipit_flight flights[3];
static struct pipit_ram_spool spool;
static struct pipit_uart_options uart_options;
static struct pipit_uart uart;
static struct pipit_client_options client_options;
static struct pipit_client client;
static struct pipit_config config;
static struct pipit_device device;

static size_t serial_write(void *, const uint8_t *ptr, size_t len)
{
    size_t room = (size_t)Serial.availableForWrite(); // More would wait.
    return Serial.write(ptr, len < room ? len : room);
}

static size_t serial_read(void *, uint8_t *ptr, size_t size)
{
    size_t count = 0;
    while (count < size && Serial.available() > 0) {
        ptr[count++] = (uint8_t)Serial.read();
    }
    return count;
}

// Each start has its own number, so that its readings are not taken for those of the last one.
static uint32_t start_count()
{
    uint32_t count;
    EEPROM.get(0, count);
    count = count == 0xFFFFFFFFu ? 1 : count + 1;
    EEPROM.put(0, count);
    return count;
}

static bool start()
{
    uart_options.write = serial_write;
    uart_options.read = serial_read;
    client_options.transport = &uart.base;
    client_options.version = PIPIT_MQTT_311;
    client_options.receive_memory = received;
    client_options.receive_bytes = sizeof(received);
    client_options.send_memory = sending;
    client_options.send_bytes = sizeof(sending);
    client_options.flights = flights;
    client_options.flights_max = 3;
    config.group = "demo";
    config.device = "uno";
    config.spool = &spool.base;
    config.link = &client.base;
    config.buffer = packet;
    config.buffer_bytes = sizeof(packet);
    config.seed = (uint32_t)analogRead(A1) + 1;
    return pipit_ram_spool_init(&spool, spool_memory, sizeof(spool_memory), PIPIT_DROP_OLDEST,
                                start_count()) == PIPIT_OK &&
           pipit_uart_init(&uart, &uart_options) == PIPIT_OK &&
           pipit_client_init(&client, &client_options) == PIPIT_OK &&
           pipit_init(&device, &config) == PIPIT_OK;
}

void setup()
{
    Serial.begin(115200);
    pinMode(LED_BUILTIN, OUTPUT);
    pinMode(MODEM_DTR, OUTPUT);
    digitalWrite(MODEM_DTR, HIGH);
    while (!start()) {
        digitalWrite(LED_BUILTIN, HIGH); // A buffer is too small: nothing to be done here.
    }
}

void loop()
{
    static uint32_t due_ms;
    uint32_t now_ms = millis();
    if ((int32_t)(now_ms - due_ms) >= 0) {
        due_ms = now_ms + 1000;
        (void)pipit_publish(&device, "supply",
                            PIPIT_UNSIGNED("millivolts", analogRead(A0) * 5000UL / 1023));
    }
    (void)pipit_poll(&device, now_ms);
    digitalWrite(LED_BUILTIN, pipit_waiting(&device) > 0 ? HIGH : LOW); // Dark: all is stored.
}
