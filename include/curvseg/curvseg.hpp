/// \file
/// All of curvseg.
#pragma once

#include "curvseg/checkpoint.hpp"
#include "curvseg/convolution.hpp"
#include "curvseg/curvature.hpp"
#include "curvseg/curvature_operator.hpp"
#include "curvseg/data.hpp"
#include "curvseg/device.hpp"
#include "curvseg/error.hpp"
#include "curvseg/labels.hpp"
#include "curvseg/loss.hpp"
#include "curvseg/metrics.hpp"
#include "curvseg/model.hpp"
#include "curvseg/ops.hpp"
#include "curvseg/optim.hpp"
#include "curvseg/solvers.hpp"
#include "curvseg/spectrum.hpp"
#include "curvseg/tensor.hpp"
#include "curvseg/train.hpp"
#include "curvseg/version.hpp"
