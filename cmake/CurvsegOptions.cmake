# What a builder may choose, and the flags that every part shares.

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Debug, Release or RelWithDebInfo" FORCE)
endif()

option(CURVSEG_BUILD_TESTS "Build the GoogleTest suite" ${PROJECT_IS_TOP_LEVEL})
option(CURVSEG_BUILD_PERF "Build the Google Benchmark programs" OFF)
option(CURVSEG_BUILD_COMMAND "Build the curvseg command" ON)
option(CURVSEG_EMULATED "Build the emulated target: GPU block shapes on fibers, under checks" ON)
option(CURVSEG_WERROR "Warnings are errors" OFF)
option(CURVSEG_CUDA_SHARED_RUNTIME "Link the shared CUDA runtime" OFF)
set(CURVSEG_CUDA AUTO CACHE STRING
  "Build the cuda target: AUTO (when nvcc is found), GPU (when a GPU is too, for that one), ON or OFF")
set_property(CACHE CURVSEG_CUDA PROPERTY STRINGS AUTO GPU ON OFF)
set(CURVSEG_INSTRUCTION_SETS x86-64 x86-64-v3 x86-64-v4 CACHE STRING
  "What the host target's kernels are compiled for, or `native`: what this processor has, alone")
set(CURVSEG_SANITIZE "" CACHE STRING "Sanitizers for everything but instrumented kernels, e.g. address,undefined")

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

find_program(CURVSEG_CCACHE ccache)
if(CURVSEG_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CURVSEG_CCACHE})
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${CURVSEG_CCACHE})
endif()

# The flags of this project's own code, never handed to whoever links it.
# Sources are named relative to the project, also when ccache has made the compiler's arguments
# relative to where it runs (CCACHE_BASEDIR): at the top for Ninja, in a folder a target for make.
add_library(curvseg_flags INTERFACE)
set(compiler_runs_in ${CMAKE_BINARY_DIR})
if(CMAKE_GENERATOR MATCHES Makefiles)
  set(compiler_runs_in $<TARGET_PROPERTY:BINARY_DIR>)
endif()
target_compile_options(curvseg_flags INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wshadow -Wno-unknown-pragmas
    -Wno-missing-field-initializers
    -ffile-prefix-map=${PROJECT_SOURCE_DIR}/=
    -ffile-prefix-map=$<PATH:RELATIVE_PATH,${PROJECT_SOURCE_DIR},${compiler_runs_in}>/=>
  # g++ 12 sees overlaps in std::string's own code that are not there (GCC bug 105651).
  $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-restrict>
  $<$<AND:$<BOOL:${CURVSEG_WERROR}>,$<COMPILE_LANGUAGE:CXX>>:-Werror>)
if(CURVSEG_SANITIZE)
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${CURVSEG_SANITIZE}>
                      $<$<COMPILE_LANGUAGE:CXX>:-fno-omit-frame-pointer>)
  add_link_options(-fsanitize=${CURVSEG_SANITIZE})
endif()

# The cuda target is built when nvcc is found, and left out with one line when it is not.
set(CURVSEG_HAS_CUDA OFF)
set(gpus)  # compute capabilities, as 80;90
if(CURVSEG_CUDA STREQUAL GPU)
  execute_process(COMMAND nvidia-smi --query-gpu=compute_cap --format=csv,noheader
    OUTPUT_VARIABLE gpus RESULT_VARIABLE failed ERROR_QUIET)
  if(failed)  # no such command, no driver
    set(gpus)
  endif()
  string(REGEX MATCHALL "[0-9]+\\.[0-9]" gpus "${gpus}")
  string(REPLACE "." "" gpus "${gpus}")
  list(REMOVE_DUPLICATES gpus)
endif()
if(NOT CURVSEG_CUDA)
  message(STATUS "curvseg: CURVSEG_CUDA is OFF, the cuda target is left out")
elseif(CURVSEG_CUDA STREQUAL GPU AND NOT gpus)
  message(STATUS "curvseg: nvidia-smi lists no GPU, the cuda target is left out")
else()
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    if(CURVSEG_CUDA STREQUAL GPU AND NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
      set(CMAKE_CUDA_ARCHITECTURES ${gpus} CACHE STRING "GPU architectures")
    elseif(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
      # Machine code for A100 and H100, and PTX that newer GPUs compile for themselves.
      set(CMAKE_CUDA_ARCHITECTURES "80-real;90" CACHE STRING "GPU architectures")
    endif()
    enable_language(CUDA)
    # Of every target, or CMake adds the static one to whatever links ours.
    if(CURVSEG_CUDA_SHARED_RUNTIME)
      set(CMAKE_CUDA_RUNTIME_LIBRARY Shared)
    endif()
    # CMake 3.25.1 does not know that nvcc 13 speaks C++20.
    if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
      set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
      set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
    endif()
    set(CMAKE_CUDA_STANDARD 20)
    set(CMAKE_CUDA_STANDARD_REQUIRED ON)
    find_package(CUDAToolkit REQUIRED)
    set(CURVSEG_HAS_CUDA ON)
  elseif(CURVSEG_CUDA STREQUAL ON)
    message(FATAL_ERROR "curvseg: CURVSEG_CUDA is ON but no nvcc was found; set CUDACXX or PATH")
  else()
    message(STATUS "curvseg: no nvcc found, the cuda target is left out")
  endif()
endif()

# One compilation of the kernels each: host_baseline, host_v3, host_v4.
set(CURVSEG_HOST_TARGETS)
set(sets ${CURVSEG_INSTRUCTION_SETS})
if(sets STREQUAL native)
  file(WRITE ${CMAKE_BINARY_DIR}/native.cpp "")
  execute_process(COMMAND ${CMAKE_CXX_COMPILER} -march=native -dM -E ${CMAKE_BINARY_DIR}/native.cpp
    OUTPUT_VARIABLE macros ERROR_QUIET)
  set(sets x86-64)
  if(macros MATCHES "__AVX512F__" AND macros MATCHES "__AVX512BW__" AND macros MATCHES "__AVX512VL__")
    set(sets x86-64-v4)
  elseif(macros MATCHES "__AVX2__" AND macros MATCHES "__FMA__" AND macros MATCHES "__BMI2__")
    set(sets x86-64-v3)
  endif()
  if((CURVSEG_EMULATED OR CURVSEG_BUILD_TESTS) AND NOT sets STREQUAL x86-64)
    list(PREPEND sets x86-64)  # theirs, see below
  endif()
  message(STATUS "curvseg: kernels of the host target for ${sets} alone")
endif()
foreach(set IN LISTS sets)
  if(set STREQUAL x86-64)
    list(APPEND CURVSEG_HOST_TARGETS host_baseline)
  elseif(set MATCHES "^x86-64-(v[34])$")
    list(APPEND CURVSEG_HOST_TARGETS host_${CMAKE_MATCH_1})
  else()
    message(FATAL_ERROR "CURVSEG_INSTRUCTION_SETS has ${set}; there are x86-64, x86-64-v3, x86-64-v4, "
      "and native by itself")
  endif()
endforeach()
if(NOT CURVSEG_HOST_TARGETS)
  message(FATAL_ERROR "CURVSEG_INSTRUCTION_SETS names none; x86-64 suits every processor")
endif()
if((CURVSEG_EMULATED OR CURVSEG_BUILD_TESTS) AND NOT host_baseline IN_LIST CURVSEG_HOST_TARGETS)
  message(FATAL_ERROR "CURVSEG_INSTRUCTION_SETS is ${CURVSEG_INSTRUCTION_SETS}; the emulated target and the "
    "tests need x86-64 too")
endif()
