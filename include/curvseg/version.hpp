/// \file
/// The version of the headers; the build fails where it is not the project's.
#pragma once

#define CURVSEG_VERSION_MAJOR 0  ///< for the preprocessor
#define CURVSEG_VERSION_MINOR 1  ///< for the preprocessor
#define CURVSEG_VERSION_PATCH 0  ///< for the preprocessor

namespace curvseg {

/// Versions as semver.org defines them: before 1.0 a minor version may break its predecessor.
struct Version {
  int major = CURVSEG_VERSION_MAJOR;  ///< rises with changes that break programs
  int minor = CURVSEG_VERSION_MINOR;  ///< rises with additions
  int patch = CURVSEG_VERSION_PATCH;  ///< rises with corrections alone
};

/// That of the headers a program is compiled against.
inline constexpr Version kVersion = {};

}  // namespace curvseg
