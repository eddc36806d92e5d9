# `cmake --install`: the library, include/curvseg, the command, and a package for
# find_package(curvseg).
include(CMakePackageConfigHelpers)
option(CURVSEG_INSTALL "Make `cmake --install` install curvseg" ${PROJECT_IS_TOP_LEVEL})

# The version stands in one header for whoever reads it, and must be the project's.
file(STRINGS ${PROJECT_SOURCE_DIR}/include/curvseg/version.hpp version_lines
  REGEX "^#define CURVSEG_VERSION_(MAJOR|MINOR|PATCH) [0-9]+")
set(header_version ${version_lines})
list(TRANSFORM header_version REPLACE "^#define [A-Z_]+ ([0-9]+).*" "\\1")
list(JOIN header_version . header_version)
if(NOT header_version VERSION_EQUAL PROJECT_VERSION)
  message(FATAL_ERROR "curvseg: include/curvseg/version.hpp says ${header_version}, "
    "CMakeLists.txt says ${PROJECT_VERSION}")
endif()

if(CURVSEG_INSTALL)
  set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/curvseg)
  install(TARGETS curvseg EXPORT curvseg-targets)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/curvseg DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
    FILES_MATCHING PATTERN "*.hpp")
  install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
  if(TARGET curvseg_command)
    file(RELATIVE_PATH bin_to_lib /${CMAKE_INSTALL_BINDIR} /${CMAKE_INSTALL_LIBDIR})
    set_target_properties(curvseg_command PROPERTIES INSTALL_RPATH "$ORIGIN/${bin_to_lib}")
    install(TARGETS curvseg_command)
  endif()

  # What SameMinorVersion below says, for the loader: 0.1 and 0.2 do not stand in for each other.
  set_target_properties(curvseg PROPERTIES VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
  get_target_property(library_type curvseg TYPE)
  set(curvseg_shared OFF)
  if(library_type STREQUAL SHARED_LIBRARY)
    set(curvseg_shared ON)
  endif()
  set(curvseg_emulated ${CURVSEG_EMULATED})
  set(curvseg_cuda ${CURVSEG_HAS_CUDA})
  set(curvseg_targets host)
  if(CURVSEG_EMULATED)
    list(APPEND curvseg_targets emulated)
  endif()
  if(CURVSEG_HAS_CUDA)
    list(APPEND curvseg_targets cuda)
  endif()
  configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/curvseg-config.cmake.in
    ${PROJECT_BINARY_DIR}/package/curvseg-config.cmake INSTALL_DESTINATION ${package_dir})
  # Before 1.0 a minor version may break what the one before it had.
  write_basic_package_version_file(${PROJECT_BINARY_DIR}/package/curvseg-config-version.cmake
    COMPATIBILITY SameMinorVersion)
  install(FILES ${PROJECT_BINARY_DIR}/package/curvseg-config.cmake
    ${PROJECT_BINARY_DIR}/package/curvseg-config-version.cmake
    ${PROJECT_SOURCE_DIR}/cmake/CurvsegDependencies.cmake DESTINATION ${package_dir})
  install(EXPORT curvseg-targets NAMESPACE curvseg:: DESTINATION ${package_dir})
endif()
