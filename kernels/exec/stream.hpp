// The one type that host code and every target share to name a queue of work.
#pragma once

namespace curvseg {

/// An opaque queue: a `cudaStream_t` on the cuda target, a late queue on the emulated one, unused
/// on the host target, whose launches are finished on return.
using StreamHandle = void*;

}  // namespace curvseg
