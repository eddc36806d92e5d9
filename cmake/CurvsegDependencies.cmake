# What the library links, in one place for the build and for the installed package.
#
# curvseg_find_dependencies(<result> <emulated> <cuda>) finds it all and sets <result> to "" or to
# one sentence that names what is missing. Libraries that come without a CMake package become the
# imported targets curvseg::boost_context and curvseg::libdw.

macro(_curvseg_need library debian)
  if(NOT "${${result}}" AND NOT ${library}_FOUND)
    set(${result} "curvseg needs ${library}, which was not found here (Debian: ${debian})")
  endif()
endmacro()

macro(_curvseg_library target name header variable)
  find_path(CURVSEG_${variable}_INCLUDE ${header})
  find_library(CURVSEG_${variable}_LIBRARY ${name})
  mark_as_advanced(CURVSEG_${variable}_INCLUDE CURVSEG_${variable}_LIBRARY)
  set(${variable}_FOUND FALSE)
  if(CURVSEG_${variable}_INCLUDE AND CURVSEG_${variable}_LIBRARY)
    set(${variable}_FOUND TRUE)
    if(NOT TARGET curvseg::${target})
      add_library(curvseg::${target} UNKNOWN IMPORTED)
      set_target_properties(curvseg::${target} PROPERTIES
        IMPORTED_LOCATION ${CURVSEG_${variable}_LIBRARY}
        INTERFACE_INCLUDE_DIRECTORIES ${CURVSEG_${variable}_INCLUDE})
    endif()
  endif()
endmacro()

# A macro: imported targets and *_FOUND belong to the directory that asks for them.
macro(curvseg_find_dependencies result_variable emulated cuda)
  set(result ${result_variable})
  set(${result} "")
  find_package(Threads QUIET)
  _curvseg_need(Threads libc6-dev)
  find_package(OpenMP QUIET COMPONENTS CXX)
  _curvseg_need(OpenMP_CXX "g++, or libomp-dev for clang")
  find_package(PNG QUIET)
  _curvseg_need(PNG libpng-dev)
  find_package(JPEG QUIET)
  _curvseg_need(JPEG libjpeg62-turbo-dev)
  find_package(ZLIB QUIET)
  _curvseg_need(ZLIB zlib1g-dev)
  if(${emulated})
    _curvseg_library(boost_context boost_context boost/context/detail/fcontext.hpp BoostContext)
    _curvseg_need(BoostContext libboost-context-dev)
    _curvseg_library(libdw dw elfutils/libdwfl.h Libdw)
    _curvseg_need(Libdw libdw-dev)
  endif()
  if(${cuda})
    find_package(CUDAToolkit QUIET)
    _curvseg_need(CUDAToolkit "from NVIDIA, with nvcc in PATH")
    set(cuSOLVER_FOUND FALSE)
    if(TARGET CUDA::cusolver)
      set(cuSOLVER_FOUND TRUE)
    endif()
    _curvseg_need(cuSOLVER "a part of the CUDA toolkit")
  endif()
endmacro()
