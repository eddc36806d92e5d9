#include "exec/emulated/streams.hpp"

#include <algorithm>
#include <cstring>
#include <exception>
#include <string>
#include <utility>

#include "target.hpp"

namespace curvseg::emulation {

void Clock::raise(std::size_t stream, std::uint64_t ticket) {
  if (stream >= seen_.size()) seen_.resize(stream + 1, 0);
  seen_[stream] = std::max(seen_[stream], ticket);
}

void Clock::join(const Clock& other) {
  for (std::size_t i = 0; i < other.seen_.size(); ++i) raise(i, other.seen_[i]);
}

bool Clock::covers(const Clock& other) const {
  for (std::size_t i = 0; i < other.seen_.size(); ++i)
    if (other.seen_[i] > (*this)[i]) return false;
  return true;
}

void Engine::begin_span(std::size_t stream, std::uint64_t ticket, const char* kernel) {
  constexpr std::uint32_t kAlmostOver = 0xf0000000u;
  if (epoch > kAlmostOver) {
    memory().forget_epochs();
    spans.clear();
    epoch = 0;
  }
  spans.push_back({++epoch, stream, ticket, kernel});
  latest.raise(stream, ticket);
}

const Span* Engine::span_of(std::uint32_t stamp_epoch) const {
  const auto next = std::upper_bound(
      spans.begin(), spans.end(), stamp_epoch,
      [](std::uint32_t value, const Span& span) { return value < span.first_epoch; });
  return &*std::prev(next);
}

std::int64_t Engine::block_of(std::uint32_t stamp_epoch) const {
  const auto next = std::upper_bound(
      block_starts.begin(), block_starts.end(), stamp_epoch,
      [](std::uint32_t value, const BlockStart& start) { return value < start.epoch; });
  return next == block_starts.begin() ? -1 : std::prev(next)->block;
}

std::shared_ptr<Stream> Streams::create(int device) {
  auto stream = std::make_shared<Stream>();
  stream->number = next_number_++;
  stream->device = device;
  streams_.push_back(stream);
  return stream;
}

std::shared_ptr<Stream> Streams::find(StreamHandle handle, int device) {
  if (!handle) {
    if (!default_stream_[device]) default_stream_[device] = create(device);
    return default_stream_[device];
  }
  for (const auto& stream : streams_)
    if (stream.get() == handle && !stream->destroyed) return stream;
  throw TargetError("emulated: not a stream, or one that was destroyed");
}

void Streams::destroy(StreamHandle handle) {
  for (const auto& stream : streams_)
    if (stream.get() == handle) stream->destroyed = true;  // its work still runs, and still late
}

void Streams::enqueue(Stream& stream, Anything what) {
  ++stream.queued;
  stream.clock.join(host_);
  stream.clock.raise(stream.number, stream.queued);
  stream.queue.push_back({std::move(what), stream.clock});
}

void Streams::wait(Stream& later, const std::shared_ptr<Stream>& earlier) {
  if (&later == earlier.get()) return;
  later.clock.join(earlier->clock);
  enqueue(later, WaitWork{earlier, earlier->queued, earlier->failure});
}

namespace {

/// `why` is a defect, or what this threw for one.
[[noreturn]] void report_dropped(const std::string& why) {
  const std::string dropped = "emulated: work queued or waited for here was dropped: ";
  throw TargetError(why.starts_with(dropped) ? why : dropped + why);
}

}  // namespace

void Streams::synchronise(Stream& stream) {
  std::exception_ptr first;
  const auto attempt = [&](Stream& each) {
    try {
      finish(each);
    } catch (...) {
      if (!first) first = std::current_exception();
    }
  };
  attempt(stream);
  host_.join(stream.clock);
  // A destroyed stream has nobody left to synchronise it.
  for (const auto& other : std::vector(streams_))
    if (other->destroyed && other->device == stream.device) attempt(*other);
  std::erase_if(streams_, [](const auto& s) { return s->destroyed && s->queue.empty(); });
  forget_ordered_spans();
  if (first) std::rethrow_exception(first);
}

void Streams::finish(Stream& stream) {
  try {
    drain(stream, stream.queued);
  } catch (...) {
    stream.failure.clear();
    throw;
  }
  if (stream.failure.empty()) return;
  const std::string why = std::exchange(stream.failure, {});
  // Of a destroyed stream nobody asks, and the defect itself was reported.
  if (!stream.destroyed) report_dropped(why);
}

void Streams::drain(Stream& stream, std::uint64_t ticket) {
  while (stream.done < ticket) {
    try {
      if (!stream.failure.empty()) report_dropped(stream.failure);
      Work work = std::move(stream.queue.front());
      stream.queue.pop_front();
      run(stream, work);
    } catch (const std::exception& error) {
      drop(stream, error.what());
      throw;
    }
    ++stream.done;
  }
}

/// Whoever waits for what is dropped here must not go on as if it had run.
void Streams::drop(Stream& stream, const std::string& why) {
  for (const auto& other : streams_)
    for (Work& work : other->queue) {
      auto* wait = std::get_if<WaitWork>(&work.what);
      if (wait && wait->earlier.get() == &stream && wait->ticket > stream.done &&
          wait->lost.empty())
        wait->lost = why;
    }
  stream.queue.clear();
  stream.done = stream.queued;
  stream.failure = why;
}

void Streams::run(Stream& stream, Work& work) {
  if (const auto* wait = std::get_if<WaitWork>(&work.what)) {
    if (!wait->lost.empty()) report_dropped(wait->lost);
    drain(*wait->earlier, wait->ticket);
    return;
  }
  Engine& e = engine();
  const auto* launch = std::get_if<Launch>(&work.what);
  const auto* host = std::get_if<HostWork>(&work.what);
  e.clock = work.clock;
  e.begin_span(stream.number, stream.done + 1,
               launch ? launch->kernel
               : host ? host->name
                      : nullptr);
  if (launch)
    run_launch(*launch, stream.device);
  else if (host)
    host->run();
  else
    run_copy(std::get<CopyWork>(work.what));
}

namespace {

std::string copy_text(const CopyWork& copy) {
  const auto side = [](const void* address) {
    const int device = memory().device_of(address);
    return device < 0 ? std::string("the host") : "device " + std::to_string(device);
  };
  return "emulated: copy of " + std::to_string(copy.bytes) + " bytes from " + side(copy.from) +
         " to " + side(copy.to);
}

}  // namespace

void Streams::run_copy(const CopyWork& copy) {
  if (copy.bytes == 0) return;
  const bool from_device = memory().device_of(copy.from) >= 0;
  const bool to_device = memory().device_of(copy.to) >= 0;
  Engine& e = engine();
  if (e.options.checks) {
    const auto what = [&] { return copy_text(copy); };
    if (from_device) check_access(what, "source", copy.from, copy.bytes, false);
    if (to_device) check_access(what, "destination", copy.to, copy.bytes, true);
  }
  std::memmove(copy.to, copy.from, copy.bytes);
  if (to_device && from_device)
    memory().copy_marks(copy.to, copy.from, copy.bytes, e.epoch);
  else if (to_device)
    memory().mark_written(copy.to, copy.bytes, e.epoch);
}

void Streams::forget_ordered_spans() {
  const auto idle = [](const auto& stream) { return stream->queue.empty(); };
  if (!std::all_of(streams_.begin(), streams_.end(), idle)) return;
  // Whatever is queued from now on comes after all that the host has waited for.
  auto& spans = engine().spans;
  const auto known = [&](const Span& span) { return span.ticket <= host_[span.stream]; };
  spans.erase(spans.begin(), std::find_if_not(spans.begin(), spans.end(), known));
  if (spans.empty()) engine().latest.clear();
}

}  // namespace curvseg::emulation
