# The kernel sources, and how one compilation of them becomes a target.

# kernel_table.cu lists what the others launch and has no kernel of its own.
set(CURVSEG_KERNEL_SOURCES
  conv2d/conv2d_gather.cu
  conv2d/conv2d_weight_gradient.cu
  conv2d/conv2d_winograd.cu
  conv2d/conv2d_winograd_weights.cu
  loss/mean_squared_error.cu
  loss/sample_labels.cu
  loss/softmax_cross_entropy.cu
  loss/softmax_cross_entropy_fisher.cu
  loss/softmax_cross_entropy_hessian.cu
  metrics/metrics.cu
  patches/gather_patches.cu
  pointwise/pointwise.cu
  pool/average_pool.cu
  pool/max_pool.cu
  quadratic/quadratic_step.cu
  random/random_fill.cu
  resize/bilinear.cu
  transpose/transpose.cu
  update/adam.cu
  update/adam_direction.cu
  update/damped_diagonal.cu
  update/gradient_descent.cu
  update/sgd.cu
  vector/add_damping.cu
  vector/cg_residual.cu
  vector/cg_step.cu
  vector/cg_step_length.cu
  vector/dot_products.cu
  vector/elementwise.cu
  vector/linear_combination.cu
  kernel_table.cu)
list(TRANSFORM CURVSEG_KERNEL_SOURCES PREPEND ${PROJECT_SOURCE_DIR}/kernels/)

# Of the host target. Sanitizers' checks in loops that are unrolled take thrice as long to compile at
# -O3, so that building would take longer than the tests.
set(CURVSEG_HOST_OPTIMISATION -O3)
if(CURVSEG_SANITIZE)
  set(CURVSEG_HOST_OPTIMISATION -O1)
endif()

# Compiles the kernels as C++ into the object library `curvseg_<name>_objects`.
#
# Contraction is pinned: a product and a sum are fused where the source says fma() and nowhere else.
# A .cu file's language is a property of its directory, so every caller is a directory of its own.
function(curvseg_add_cxx_kernels name)
  set_source_files_properties(${CURVSEG_KERNEL_SOURCES} PROPERTIES LANGUAGE CXX)
  add_library(curvseg_${name}_objects OBJECT ${CURVSEG_KERNEL_SOURCES})
  target_include_directories(curvseg_${name}_objects PRIVATE
    ${PROJECT_SOURCE_DIR}/kernels ${PROJECT_SOURCE_DIR}/include)
  target_compile_definitions(curvseg_${name}_objects PRIVATE CURVSEG_TARGET=target_${name})
  target_compile_options(curvseg_${name}_objects PRIVATE -x c++ -ffp-contract=off -fno-math-errno
    -fno-trapping-math ${ARGN})
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    # Vector types change a function's calling convention; these functions never leave the file.
    target_compile_options(curvseg_${name}_objects PRIVATE -Wno-psabi -Wno-ignored-attributes)
    # No symbol that the dynamic linker merges across libraries; clang never makes any.
    target_compile_options(curvseg_${name}_objects PRIVATE -fno-gnu-unique)
  endif()
  target_link_libraries(curvseg_${name}_objects PRIVATE curvseg_flags)
  set_target_properties(curvseg_${name}_objects PROPERTIES UNITY_BUILD OFF)  # one kernel, one file
endfunction()

# What a host target takes from a library of headers instead of a kernel: its own source, and Eigen,
# which is in nothing but the isolated objects.
function(curvseg_add_host_libraries name)
  set(source ${PROJECT_SOURCE_DIR}/kernels/exec/dense_host.cpp)
  target_sources(curvseg_${name}_objects PRIVATE ${source})
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    # g++ 12 sees its own AVX-512 intrinsics read an undefined vector (GCC bug 105593).
    set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS -Wno-maybe-uninitialized)
  endif()
  target_link_libraries(curvseg_${name}_objects PRIVATE Eigen3::Eigen)
endfunction()

# What instruments a kernel file of the emulated target. Why each flag is needed: docs/emulated.md,
# "Building".
set(CURVSEG_EMULATED_FLAGS -O2 -g -fsanitize=thread,alignment
  -fno-builtin-memcpy -fno-builtin-memmove -fno-builtin-memset)
if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
  list(APPEND CURVSEG_EMULATED_FLAGS
    -fno-integrated-as -Wa,--no-warn -fno-vectorize -fno-slp-vectorize
    "SHELL:-mllvm -tsan-instrument-read-before-write=1" "SHELL:-mllvm -inline-threshold=5000")
endif()

# Joins the objects of one instruction set into `curvseg_<name>.o`, which exports one symbol.
#
# Otherwise the linker keeps one copy of every inline function it finds under one name, and may
# keep the one that was compiled for a newer processor than the one it will run on. It takes GNU's
# linker whatever the compiler brings: LLVM's has no --force-group-allocation.
find_program(CURVSEG_GNU_LINKER NAMES ld.bfd ld REQUIRED)
find_program(CURVSEG_GNU_OBJCOPY NAMES objcopy REQUIRED)
mark_as_advanced(CURVSEG_GNU_LINKER CURVSEG_GNU_OBJCOPY)
function(curvseg_isolate name)
  set(joined ${CMAKE_CURRENT_BINARY_DIR}/curvseg_${name}.o)
  add_custom_command(OUTPUT ${joined}
    COMMAND ${CURVSEG_GNU_LINKER} -r --force-group-allocation -o ${joined}.all
            $<TARGET_OBJECTS:curvseg_${name}_objects>
    COMMAND ${CURVSEG_GNU_OBJCOPY} --keep-global-symbol=curvseg_kernels_target_${name} ${joined}.all
            ${joined}
    DEPENDS curvseg_${name}_objects $<TARGET_OBJECTS:curvseg_${name}_objects>
    COMMAND_EXPAND_LISTS VERBATIM
    COMMENT "Isolating the ${name} kernels")
  add_custom_target(curvseg_${name}_isolated DEPENDS ${joined})
  set_property(GLOBAL APPEND PROPERTY CURVSEG_ISOLATED_OBJECTS ${joined})
  set_property(GLOBAL APPEND PROPERTY CURVSEG_ISOLATED_TARGETS curvseg_${name}_isolated)
endfunction()
