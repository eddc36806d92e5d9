// What this compilation of the kernels is for.
#pragma once

namespace curvseg::CURVSEG_TARGET {

/// As Kernels::instruction_set says it.
#if defined(__CUDACC__) || defined(CURVSEG_EMULATED)
inline constexpr const char* kInstructionSet = nullptr;
#elif defined(__AVX512F__)
inline constexpr const char* kInstructionSet = "x86-64-v4";
#elif defined(__AVX2__)
inline constexpr const char* kInstructionSet = "x86-64-v3";
#elif defined(__x86_64__)
inline constexpr const char* kInstructionSet = "x86-64";
#else
inline constexpr const char* kInstructionSet = "portable";
#endif

}  // namespace curvseg::CURVSEG_TARGET
