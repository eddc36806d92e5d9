// Late streams: queues whose work runs when something synchronises them.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "exec/emulated/engine.hpp"
#include "exec/emulated/host_work.hpp"

namespace curvseg::emulation {

struct Stream;

struct CopyWork {
  void* to;
  const void* from;
  std::size_t bytes;
};
struct WaitWork {
  std::shared_ptr<Stream> earlier;
  std::uint64_t ticket;  // of `earlier`: all up to it
  std::string lost;      // the defect for which some of that was dropped; empty: none of it was
};
using Anything = std::variant<Launch, CopyWork, HostWork, WaitWork>;
struct Work {
  Anything what;
  Clock clock;  // what must be over before this work, itself included
};

struct Stream {
  std::size_t number;
  int device;
  std::deque<Work> queue;
  std::uint64_t queued = 0;  // tickets handed out
  std::uint64_t done = 0;
  Clock clock;  // of the last work queued
  bool destroyed = false;
  std::string failure;  // why work was dropped; empty: none was, or this stream has reported it
};

/// All streams of the process. Guarded by Engine::mutex.
class Streams {
 public:
  std::shared_ptr<Stream> create(int device);
  /// nullptr is the default stream of `device`. Throws TargetError for what is no stream.
  std::shared_ptr<Stream> find(StreamHandle handle, int device);
  void destroy(StreamHandle handle);

  void enqueue(Stream& stream, Anything what);
  void wait(Stream& later, const std::shared_ptr<Stream>& earlier);
  /// Runs everything in `stream`. A defect ends the work of its own stream and of those that wait
  /// for it, each of which reports it once; the work of all others stays.
  void synchronise(Stream& stream);

 private:
  /// drain() of everything, and the report of what was dropped before.
  void finish(Stream& stream);
  void drain(Stream& stream, std::uint64_t ticket);
  void drop(Stream& stream, const std::string& why);
  void run(Stream& stream, Work& work);
  void run_copy(const CopyWork& copy);
  void forget_ordered_spans();

  std::vector<std::shared_ptr<Stream>> streams_;
  std::shared_ptr<Stream> default_stream_[kDevices];
  std::size_t next_number_ = 0;
  Clock host_;  // what the host has waited for
};

}  // namespace curvseg::emulation
