// Sends what the compiler's instrumentation calls to the emulated target's own hooks, under names
// of their own: so a kernel object never meets a real sanitizer runtime, and a program that is
// itself built with -fsanitize=thread, address or undefined can link this target.
//
// An assembler symbol assignment, as glibc uses for the same purpose: it also catches the memcpy
// and memset that a compiler makes up for struct copies and loops.
#pragma once

#ifndef CURVSEG_EMULATED
#error "only kernels of the emulated target are redirected"
#endif

#define CURVSEG_REDIRECT(name) asm(#name " = curvseg_emulated_" #name)
#define CURVSEG_REDIRECT_SIZES(name) \
  CURVSEG_REDIRECT(name##1);         \
  CURVSEG_REDIRECT(name##2);         \
  CURVSEG_REDIRECT(name##4);         \
  CURVSEG_REDIRECT(name##8);         \
  CURVSEG_REDIRECT(name##16)
#define CURVSEG_REDIRECT_ATOMICS(bits)                             \
  CURVSEG_REDIRECT(__tsan_atomic##bits##_load);                    \
  CURVSEG_REDIRECT(__tsan_atomic##bits##_store);                   \
  CURVSEG_REDIRECT(__tsan_atomic##bits##_exchange);                \
  CURVSEG_REDIRECT(__tsan_atomic##bits##_fetch_add);               \
  CURVSEG_REDIRECT(__tsan_atomic##bits##_fetch_sub);               \
  CURVSEG_REDIRECT(__tsan_atomic##bits##_fetch_and);               \
  CURVSEG_REDIRECT(__tsan_atomic##bits##_fetch_or);                \
  CURVSEG_REDIRECT(__tsan_atomic##bits##_fetch_xor);               \
  CURVSEG_REDIRECT(__tsan_atomic##bits##_compare_exchange_strong); \
  CURVSEG_REDIRECT(__tsan_atomic##bits##_compare_exchange_weak)

CURVSEG_REDIRECT(__tsan_init);
CURVSEG_REDIRECT(__tsan_func_entry);
CURVSEG_REDIRECT(__tsan_func_exit);
CURVSEG_REDIRECT(__tsan_vptr_update);
CURVSEG_REDIRECT(__tsan_vptr_read);
CURVSEG_REDIRECT_SIZES(__tsan_read);
CURVSEG_REDIRECT_SIZES(__tsan_write);
CURVSEG_REDIRECT_SIZES(__tsan_unaligned_read);
CURVSEG_REDIRECT_SIZES(__tsan_unaligned_write);
CURVSEG_REDIRECT(__tsan_read_range);
CURVSEG_REDIRECT(__tsan_write_range);
CURVSEG_REDIRECT_ATOMICS(8);
CURVSEG_REDIRECT_ATOMICS(16);
CURVSEG_REDIRECT_ATOMICS(32);
CURVSEG_REDIRECT_ATOMICS(64);
CURVSEG_REDIRECT(__tsan_atomic_thread_fence);
CURVSEG_REDIRECT(memcpy);
CURVSEG_REDIRECT(memmove);
CURVSEG_REDIRECT(memset);
CURVSEG_REDIRECT(__ubsan_handle_type_mismatch_v1);
