// Loss and confusion over a data set.
#pragma once

#include "curvseg/data.hpp"
#include "curvseg/train.hpp"
#include "host/train/engine.hpp"

namespace curvseg {

/// All batches of the loader's epoch 0. Waits.
EvaluationResult evaluate(Engine& engine, DataLoader& loader);

}  // namespace curvseg
