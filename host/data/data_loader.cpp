#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <numeric>
#include <string>
#include <thread>
#include <utility>

#include "host/data/augment.hpp"
#include "host/data/random.hpp"

namespace curvseg {
namespace {

/// One sample of a batch: which, and the seed of its augmentation.
struct Item {
  std::size_t index = 0;
  std::uint64_t key = 0;
};

using Plan = std::vector<std::vector<Item>>;  // the batches of an epoch

// Keys of the two uses of the seed.
constexpr std::uint64_t kOrderStream = 1;
constexpr std::uint64_t kAugmentStream = 2;

/// The samples of an epoch in order; a function of (seed, epoch) alone.
std::vector<Item> draw_items(std::size_t size, const LoaderOptions& options, std::uint64_t epoch) {
  const std::size_t count = options.samples_per_epoch > 0 ? options.samples_per_epoch : size;
  std::vector<Item> items;
  items.reserve(count);
  std::vector<std::size_t> order(size);
  for (std::uint64_t pass = 0; items.size() < count; ++pass) {
    std::iota(order.begin(), order.end(), std::size_t{0});
    if (options.shuffle) {
      Random random{options.seed, kOrderStream, epoch, pass};
      shuffle(order, random);
    }
    for (std::size_t i = 0; i < size && items.size() < count; ++i) {
      items.push_back({order[i], mix_key({options.seed, kAugmentStream, epoch, items.size()})});
    }
  }
  return items;
}

/// Batches that are being filled, one per size.
struct Open {
  ImageSize size;
  std::vector<Item> items;
};

Plan make_plan(const Dataset& dataset, const LoaderOptions& options, std::uint64_t epoch) {
  const auto full = static_cast<std::size_t>(options.batch);
  Plan plan;
  std::vector<Open> open;
  for (const Item& item : draw_items(dataset.size(), options, epoch)) {
    const ImageSize size = augmented_size(options.augment, dataset.image_size(item.index));
    auto place =
        std::find_if(open.begin(), open.end(), [size](const Open& o) { return o.size == size; });
    if (place == open.end()) {
      if (!options.shuffle) {  // keep the order of the set: what is open ends here
        for (Open& each : open) {
          plan.push_back(std::move(each.items));
        }
        open.clear();
      }
      open.push_back({size, {}});
      place = open.end() - 1;
    }
    place->items.push_back(item);
    if (place->items.size() == full) {
      plan.push_back(std::move(place->items));
      open.erase(place);
    }
  }
  for (Open& each : open) {
    plan.push_back(std::move(each.items));
  }
  if (options.drop_last) {
    std::erase_if(plan, [full](const std::vector<Item>& items) { return items.size() < full; });
  }
  return plan;
}

void make_batch(const Dataset& dataset, const LoaderOptions& options,
                const std::vector<Item>& items, Batch& batch) {
  batch.n = static_cast<int>(items.size());
  batch.images.clear();
  batch.labels.clear();
  batch.indices.clear();
  for (const Item& item : items) {
    const Sample sample =
        augment(dataset.get(item.index), options.augment, item.key, options.normalisation);
    if (batch.indices.empty()) {
      batch.h = sample.height;
      batch.w = sample.width;
      batch.c = sample.channels;
    }
    if (sample.height != batch.h || sample.width != batch.w || sample.channels != batch.c) {
      throw Error(dataset.name() + ": sample " + sample.name + " is " +
                  std::to_string(sample.width) + "x" + std::to_string(sample.height) + "x" +
                  std::to_string(sample.channels) + ", its batch is " + std::to_string(batch.w) +
                  "x" + std::to_string(batch.h) + "x" + std::to_string(batch.c));
    }
    append_normalised(batch.images, sample.image, options.normalisation,
                      static_cast<std::size_t>(sample.channels));
    batch.labels.insert(batch.labels.end(), sample.labels.begin(), sample.labels.end());
    batch.indices.push_back(item.index);
  }
}

}  // namespace

/// A ring of queue_depth slots between the workers and next(). Batch i lives in slot i modulo the
/// depth; workers claim batches in order and never more than the depth ahead of next(), so a slot
/// has one owner at a time.
struct DataLoader::State {
  struct Slot {
    Batch batch;  // its buffers are recycled
    std::exception_ptr error;
    bool ready = false;
  };

  const Dataset& dataset;
  const LoaderOptions options;

  std::mutex mutex;  // guards what follows
  std::condition_variable work_to_do;
  std::condition_variable batch_ready;
  std::shared_ptr<const Plan> plan = std::make_shared<const Plan>();
  std::uint64_t generation = 0;  // counts start_epoch(): late results of an earlier one are dropped
  std::size_t next_claim = 0;
  std::size_t next_take = 0;
  std::vector<Slot> slots;
  bool stop = false;
  std::vector<std::thread> threads;

  State(const Dataset& data, LoaderOptions loader_options)
      : dataset(data),
        options(std::move(loader_options)),
        slots(static_cast<std::size_t>(options.queue_depth)) {
    try {
      for (int t = 0; t < options.threads; ++t) {
        threads.emplace_back([this] { work(); });
      }
    } catch (...) {
      join();
      throw;
    }
  }
  ~State() { join(); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  void join() {
    {
      const std::scoped_lock lock(mutex);
      stop = true;
    }
    work_to_do.notify_all();
    for (std::thread& thread : threads) {
      thread.join();
    }
    threads.clear();
  }

  [[nodiscard]] bool can_claim() const {
    return next_claim < plan->size() && next_claim < next_take + slots.size();
  }

  void work() {
    std::unique_lock lock(mutex);
    for (;;) {
      work_to_do.wait(lock, [this] { return stop || can_claim(); });
      if (stop) {
        return;
      }
      const std::size_t number = next_claim++;
      const std::uint64_t mine = generation;
      const std::shared_ptr<const Plan> current = plan;
      Slot result;
      result.batch = std::exchange(slots[number % slots.size()].batch, Batch());
      lock.unlock();
      try {
        make_batch(dataset, options, (*current)[number], result.batch);
      } catch (...) {
        result.error = std::current_exception();
      }
      result.ready = true;
      lock.lock();
      if (mine == generation) {
        slots[number % slots.size()] = std::move(result);
        batch_ready.notify_all();
      }
    }
  }

  /// Forgets all batches in flight. The caller holds the mutex.
  void restart(std::shared_ptr<const Plan> new_plan, std::size_t first) {
    ++generation;
    plan = std::move(new_plan);
    next_claim = first;
    next_take = first;
    for (Slot& slot : slots) {
      slot.ready = false;
      slot.error = nullptr;
    }
  }

  bool take(Batch& batch) {
    std::unique_lock lock(mutex);
    if (next_take >= plan->size()) {
      return false;
    }
    if (threads.empty()) {
      const std::shared_ptr<const Plan> current = plan;
      Batch made;
      try {
        make_batch(dataset, options, (*current)[next_take], made);
      } catch (...) {
        restart(std::make_shared<const Plan>(), 0);
        throw;
      }
      batch = std::move(made);
      ++next_take;
      return true;
    }
    Slot& slot = slots[next_take % slots.size()];
    batch_ready.wait(lock, [&slot] { return slot.ready; });
    if (slot.error) {
      const std::exception_ptr error = slot.error;
      restart(std::make_shared<const Plan>(), 0);
      std::rethrow_exception(error);
    }
    std::swap(batch, slot.batch);
    slot.ready = false;
    ++next_take;
    lock.unlock();
    work_to_do.notify_one();
    return true;
  }
};

DataLoader::DataLoader(const Dataset& dataset, LoaderOptions options) {
  if (options.batch < 1 || options.threads < 0 || options.queue_depth < 1) {
    throw Error("DataLoader: batch " + std::to_string(options.batch) + ", threads " +
                std::to_string(options.threads) + ", queue depth " +
                std::to_string(options.queue_depth) + "; at least 1, 0 and 1 are needed");
  }
  check_augment(options.augment);
  check_normalisation(options.normalisation, dataset.channels());
  if (dataset.size() == 0) {
    throw Error("DataLoader: " + dataset.name() + " has no samples");
  }
  state_ = std::make_unique<State>(dataset, std::move(options));
}

DataLoader::~DataLoader() = default;

void DataLoader::start_epoch(std::uint64_t epoch, std::size_t first_batch) {
  auto plan = std::make_shared<const Plan>(make_plan(state_->dataset, state_->options, epoch));
  {
    const std::scoped_lock lock(state_->mutex);
    state_->restart(std::move(plan), first_batch);
  }
  state_->work_to_do.notify_all();
}

bool DataLoader::next(Batch& batch) { return state_->take(batch); }

std::size_t DataLoader::batches(std::uint64_t epoch) const {
  return make_plan(state_->dataset, state_->options, epoch).size();
}

const LoaderOptions& DataLoader::options() const { return state_->options; }

}  // namespace curvseg
