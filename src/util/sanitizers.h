// REMORA_ASAN, REMORA_TSAN: defined in builds with AddressSanitizer and ThreadSanitizer, with either
// compiler.
#pragma once

#if defined(__SANITIZE_ADDRESS__)
#define REMORA_ASAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define REMORA_ASAN
#endif
#endif

#if defined(__SANITIZE_THREAD__)
#define REMORA_TSAN
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define REMORA_TSAN
#endif
#endif
