# Installs a build into a folder, moves it, and builds and tests this project against it.
cmake_minimum_required(VERSION 3.25)

function(run)
  execute_process(COMMAND ${ARGN} OUTPUT_VARIABLE output ERROR_VARIABLE output RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "${command}\n${output}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${WORK_DIR})
file(MAKE_DIRECTORY ${WORK_DIR})
run(${CMAKE_COMMAND} --install ${BUILD_DIR} --config ${CONFIG} --prefix ${WORK_DIR}/staged)
# A package that works only where it was installed first is not one.
file(RENAME ${WORK_DIR}/staged ${WORK_DIR}/prefix)

file(GLOB installed RELATIVE ${WORK_DIR}/prefix/include ${WORK_DIR}/prefix/include/*)
if(NOT installed STREQUAL curvseg)
  message(FATAL_ERROR "include/ must hold the folder curvseg alone; it holds: ${installed}")
endif()
file(GLOB_RECURSE package_files ${WORK_DIR}/prefix/*.cmake)
foreach(file IN LISTS package_files)
  file(READ ${file} text)
  foreach(path IN ITEMS ${BUILD_DIR} ${WORK_DIR})
    string(FIND "${text}" "${path}" at)
    if(NOT at EQUAL -1)
      message(FATAL_ERROR "${file} names ${path}: it cannot be moved")
    endif()
  endforeach()
endforeach()

set(configure ${CMAKE_COMMAND} -S ${CONSUMER_DIR} -G ${GENERATOR}
  -DCMAKE_PREFIX_PATH=${WORK_DIR}/prefix -DCMAKE_BUILD_TYPE=${CONFIG} -DEXAMPLES_DIR=${EXAMPLES_DIR}
  -DEXPECTED_VERSION=${VERSION} -DCMAKE_CXX_COMPILER=${CXX_COMPILER}
  -DCMAKE_CXX_COMPILER_LAUNCHER=${COMPILER_LAUNCHER} -DCMAKE_CXX_FLAGS=${FLAGS})
if(CUDA_COMPILER)
  list(APPEND configure -DCUDAToolkit_NVCC_EXECUTABLE=${CUDA_COMPILER})
endif()
run(${configure} -B ${WORK_DIR}/build)
run(${CMAKE_COMMAND} --build ${WORK_DIR}/build)
run(${CMAKE_CTEST_COMMAND} --test-dir ${WORK_DIR}/build -C ${CONFIG} --output-on-failure)
message("${output}")

# Without a library that a static curvseg needs, one sentence says which.
file(GLOB static_library ${WORK_DIR}/prefix/lib*/libcurvseg.a ${WORK_DIR}/prefix/lib/*/libcurvseg.a)
if(static_library)
  execute_process(COMMAND ${configure} -DCMAKE_DISABLE_FIND_PACKAGE_PNG=ON -B ${WORK_DIR}/without_png
    OUTPUT_QUIET ERROR_VARIABLE errors RESULT_VARIABLE status)
  string(REGEX REPLACE "[ \n]+" " " errors "${errors}")
  if(status EQUAL 0 OR NOT errors MATCHES "curvseg needs PNG, which was not found here")
    message(FATAL_ERROR "without libpng the package must say so; it said:\n${errors}")
  endif()
endif()

if(HAS_COMMAND)
  run(${WORK_DIR}/prefix/bin/curvseg info)
  message("${output}")
endif()
