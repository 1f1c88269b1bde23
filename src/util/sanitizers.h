// REMORA_ASAN: defined in builds with AddressSanitizer, with either compiler.
#pragma once

#if defined(__SANITIZE_ADDRESS__)
#define REMORA_ASAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define REMORA_ASAN
#endif
#endif
