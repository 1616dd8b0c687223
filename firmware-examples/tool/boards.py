"""The boards: one row each. What a row does not say is like the row of its family."""

from dataclasses import dataclass, field

CORTEX_M = ("startup_cortex_m.c", "memory.c", "board.c", "print.c", "semihosting.c")
RISCV = ("startup_riscv.c", "memory.c", "board.c", "print.c", "semihosting.c")
K = 1024


@dataclass(frozen=True)
class Board:
    """One machine of QEMU: how to compile for it, where its memory is, how to start it."""

    name: str
    cpu: str                  # Flags of the compiler.
    flash: tuple              # Address, bytes.
    ram: tuple
    drivers: tuple            # Sources in boards/, beside those of the family.
    defines: dict = field(default_factory=dict)
    family: tuple = CORTEX_M
    qemu: str = "qemu-system-arm"
    toolchain: str = "arm-none-eabi-"
    load: str = "-kernel"
    storage: tuple = ()       # QEMU's words for its persistent flash in a file, and the file's bytes.
    is_written_behind: bool = False  # The file, some time after the program has been told that all is done.

    @property
    def sources(self):
        return self.family + self.drivers


M0 = "-mthumb -mcpu=cortex-m0"
M3 = "-mthumb -mcpu=cortex-m3"
M4F = "-mthumb -mcpu=cortex-m4 -mfloat-abi=hard -mfpu=fpv4-sp-d16"
RV32 = "-march=rv32imac -mabi=ilp32 -mcmodel=medany"

_ROWS = (
    Board("stm32vldiscovery", M3, (0x08000000, 128 * K), (0x20000000, 8 * K),
          ("uart_stm32.c", "clock_systick.c", "entropy_host.c", "nor_none.c"),
          {"UART_BASE": "0x40013800u", "CLOCK_HZ": "24000000u"}),
    Board("microbit", M0, (0, 256 * K), (0x20000000, 16 * K),
          ("uart_nrf51.c", "clock_nrf51.c", "entropy_nrf51.c", "nor_none.c")),
    Board("mps2-an385", M3, (0, 4096 * K), (0x20000000, 4096 * K),
          ("uart_cmsdk.c", "clock_systick.c", "entropy_host.c", "nor_none.c"),
          {"UART_BASE": "0x40004000u", "CLOCK_HZ": "25000000u"}),
    Board("mps2-an386", M4F, (0, 4096 * K), (0x20000000, 4096 * K),
          ("uart_cmsdk.c", "clock_systick.c", "entropy_host.c", "nor_none.c"),
          {"UART_BASE": "0x40004000u", "CLOCK_HZ": "25000000u"}),
    Board("lm3s6965evb", M3, (0, 256 * K), (0x20000000, 64 * K),
          ("uart_pl011.c", "clock_systick.c", "entropy_host.c", "nor_none.c"),
          {"UART_BASE": "0x4000C000u", "CLOCK_HZ": "12500000u"}),
    Board("emcraft-sf2", M3, (0, 256 * K), (0x20000000, 64 * K),
          ("uart_16550.c", "clock_systick.c", "entropy_host.c", "nor_sf2.c"),
          {"UART_BASE": "0x40000000u", "UART_STRIDE": "4u", "UART_REGISTER": "uint32_t",
           "UART_CLOCK_HZ": "83000000u", "CLOCK_HZ": "142000000u"},
          storage=("if=mtd,format=raw", 16 * K * K), is_written_behind=True),
    Board("riscv32-virt", RV32, (0x80000000, 1024 * K), (0x80100000, 1024 * K),
          ("uart_16550.c", "clock_riscv.c", "entropy_host.c", "nor_cfi.c"),
          {"UART_BASE": "0x10000000u", "UART_STRIDE": "1u", "UART_REGISTER": "uint8_t",
           "UART_CLOCK_HZ": "3686400u"},
          family=RISCV, qemu="qemu-system-riscv32", toolchain="riscv64-unknown-elf-", load="-bios",
          storage=("if=pflash,unit=1,format=raw", 32 * K * K)),
)
BOARDS = {board.name: board for board in _ROWS}


def machine(board):
    """QEMU's name of it."""
    return "virt" if board.name == "riscv32-virt" else board.name
