/* start.c -- reset, memory and the end of the program on a bare Cortex-M4. */
#include <stddef.h>
#include <stdint.h>

/* There is no heap: the two names that the library's default allocator asks the linker for. */
void *realloc(void *ptr, size_t size);
void free(void *ptr);
void *realloc(void *ptr, size_t size) { return (void)ptr, (void)size, (void *)0; }
void free(void *ptr) { (void)ptr; }

extern uint32_t _data_load, _data, _data_end, _bss, _bss_end, _stack;
int main(void);
void reset(void);
void stop(void);

static void semihost(uint32_t op, uint32_t arg) { /* a debugger's or emulator's ear; else a fault */
    register uint32_t r0 __asm__("r0") = op, r1 __asm__("r1") = arg;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}

void stop(void) {
    semihost(0x18, 0x20024); /* SYS_EXIT: a run-time error */
    for (;;) {}
}

void reset(void) {
    uint32_t *from = &_data_load, *to = &_data;
    *(volatile uint32_t *)0xe000ed88u |= 0xfu << 20; /* the floating-point unit on */
    __asm__ volatile("dsb\n\tisb");
    while (to < &_data_end) *to++ = *from++;
    for (to = &_bss; to < &_bss_end; to++) *to = 0;
    semihost(0x18, main() == 0 ? 0x20026 : 0x20024); /* 0x20026: ended well */
    for (;;) {}
}

__attribute__((section(".vectors"), used)) static void *const vectors[16] = {
    &_stack, (void *)reset, (void *)stop, (void *)stop, (void *)stop, (void *)stop, (void *)stop,
};
