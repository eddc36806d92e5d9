// Options and progress as JSON text, for the metadata of checkpoints.
#pragma once

#include <string>
#include <vector>

#include "curvseg/checkpoint.hpp"
#include "curvseg/train.hpp"

namespace curvseg {

// Numbers are written with all the digits they need to be read back unchanged. The functions that
// read throw InputError, without the name of the file, for text that is damaged; what an older
// version did not write keeps its default.

std::string to_json(const TrainerOptions& options);
TrainerOptions trainer_options_from_json(const std::string& text);

std::string to_json(const TrainingProgress& progress);
TrainingProgress training_progress_from_json(const std::string& text);

std::string to_json(const Normalisation& normalisation);
Normalisation normalisation_from_json(const std::string& text);

std::string to_json(const std::vector<std::string>& texts);
std::vector<std::string> texts_from_json(const std::string& text);

}  // namespace curvseg
