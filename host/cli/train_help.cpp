// What `curvseg train --help` says.
#include <spdlog/fmt/fmt.h>
#include <CLI/CLI.hpp>

#include "curvseg/model.hpp"
#include "curvseg/optim.hpp"
#include "host/cli/help.hpp"
#include "host/cli/text.hpp"
#include "host/cli/train_options.hpp"

namespace curvseg::cli {
namespace {

constexpr const char* kTrainFooter = R"help(Examples:
  curvseg train --data builtin:cells
      generated images, to try things out: look at runs/cells-1/gallery.png afterwards
  curvseg train --data DIR --out runs/first --epochs 50
      DIR holds train/images, train/masks, val/images and so on; DIR/classes.txt names the classes
  curvseg train --data DIR --ignore-index 11 --augment flip,scale=0.8:1.25 --class-weights balanced
      masks where 11 means "not labelled", classes of very different size
  curvseg train --data DIR --model "unet(width=32, depth=4)" --batch 4 --crop 256
      a larger network on larger crops
  curvseg train --data mnist:/usr/share/datasets/fashion-mnist
      a classifier of whole images
  curvseg train --data DIR --epochs 0 --out runs/initial
      the parameters before the first step, for other programs or to --resume from
  curvseg train --resume runs/first/checkpoint.safetensors
      continue where a training was stopped, by Ctrl-C for instance: the result has the same bits
  curvseg train --resume runs/first/checkpoint.safetensors --epochs 100
      go on for longer
)help";

void add_data_options(CLI::App& app, TrainArguments& a) {
  const char* group = "Data";
  app.add_option("--data", a.data,
                 "What to train on. Needed, unless a training is continued. A folder with train/, "
                 "and val/ and test/ where there are any, each with images/ and masks/ (the pixels "
                 "of a mask are class indices); a folder with just images/ and masks/; "
                 "builtin:cells; or, for classifiers, cifar10:FOLDER or mnist:FOLDER")
      ->type_name("DATA")
      ->group(group);
  app.add_option("--ignore-index", a.ignore_index,
                 "Value in a mask that means \"not labelled\", -1 for none. Default 255, as most "
                 "data sets have it")
      ->type_name("N")
      ->group(group);
  app.add_option(
         "--classes", a.classes,
         "Number of classes. Default 0: the lines of classes.txt, else the largest index in "
         "any mask plus one")
      ->type_name("N")
      ->check(CLI::Range(0, 256))
      ->group(group);
  app.add_option("--holdout", a.holdout,
                 "Without a val split, this part of the training images, and at least one, is kept "
                 "for validation. Default 0.1; 0 trains on all of them and validates on nothing")
      ->type_name("PART")
      ->group(group);
  app.add_flag("--no-check", a.no_check,
               "Do not read every image once before the start: begins sooner on a large set, but a "
               "damaged file is then found in the midst of training")
      ->group(group);
}

void add_model_options(CLI::App& app, TrainArguments& a) {
  const char* group = "Model";
  app.add_option(
         "--model", a.model,
         "One of " + join_or(zoo::names()) +
             ". Options: unet(width=16, depth=3, transpose=true), where without transpose bilinear "
             "resizing doubles; fcn(width=16); segnet(width=16, depth=3); classifier3(width=32, "
             "hidden=512); classifier2(width=32, hidden=128). Default unet: it keeps thin "
             "structures; to classify images classifier2 if they are grey, else classifier3; for "
             "newton a small one")
      ->type_name("NAME")
      ->group(group);
  app.add_option("--checkpoint", a.checkpoint,
                 "Begin with the parameters of this checkpoint, but with a new optimizer and "
                 "schedule. Default: random parameters from --seed")
      ->type_name("FILE")
      ->check(not_empty())
      ->group(group);
  app.add_option("--resume", a.resume,
                 "Continue the training of this checkpoint, bit by bit as if it had never stopped: "
                 "its data, model, options and folder hold, unless given again. Default: a new "
                 "training")
      ->type_name("FILE")
      ->check(not_empty())
      ->group(group);
}

/// "0.05 for sgd, 0.002 for adam, 0.002 for adamw"
std::string default_learning_rates() {
  std::string text;
  for (const std::string& name : optimizer_names()) {
    if (!needs_learning_rate(name)) {
      continue;
    }
    text +=
        fmt::format("{}{:g} for {}", text.empty() ? "" : ", ", default_learning_rate(name), name);
  }
  return text;
}

void add_optimizer_options(CLI::App& app, TrainArguments& a) {
  const char* group = "Optimisation";
  app.add_option("--optimizer", a.optimizer,
                 "One of " + join_or(optimizer_names()) +
                     ". Default auto: second-order, its step measured from curvature, nothing to "
                     "tune")
      ->type_name("NAME")
      ->group(group);
  app.add_option("--lr", a.lr,
                 "Largest learning rate, for methods that need one. Default: one that suits the "
                 "optimizer, " +
                     default_learning_rates() + ", with another --preset another")
      ->type_name("X")
      ->group(group);
  app.add_option("--schedule", a.schedule,
                 "How the learning rate falls: constant, step (to a tenth after each third of what "
                 "follows the warm-up), polynomial or cosine. Methods without a learning rate have "
                 "their steps scaled by the same factor, which begins at 1. Default cosine: no "
                 "further number to choose, and the last steps are small")
      ->type_name("NAME")
      ->group(group);
  app.add_option("--warmup", a.warmup,
                 "Steps over which the learning rate rises at first. Default 0")
      ->type_name("STEPS")
      ->check(not_negative())
      ->group(group);
  app.add_option("--weight-decay", a.weight_decay,
                 "Pull of the parameters towards 0: beside the gradient for adamw, soap, muon and "
                 "damped-diagonal, else added to it. Default 0; for adamw 0.01, for "
                 "damped-diagonal that of its preset")
      ->type_name("X")
      ->group(group);
  app.add_option("--momentum", a.momentum, "Of sgd. Default 0.9")
      ->type_name("X")
      ->check(CLI::Range(0.0, 1.0))
      ->group(group);
  app.add_option("--preset", a.preset,
                 "Of damped-diagonal: sophia (sophia-g), sophia-h or adahessian. Default sophia")
      ->type_name("NAME")
      ->group(group);
  app.add_option("--clip", a.clip,
                 "Largest norm of the gradient; a longer one is shortened to it. Default 0: never")
      ->type_name("NORM")
      ->group(group);
  app.add_option("--label-smoothing", a.label_smoothing,
                 "Part of each label that is spread over all classes. Default 0")
      ->type_name("PART")
      ->group(group);
  app.add_option(
         "--class-weights", a.class_weights,
         "none, or balanced: pixels of rare classes weigh more, up to 10 times. Default none")
      ->type_name("KIND")
      ->check(CLI::IsMember({"none", "balanced"}))
      ->group(group);
}

void add_length_options(CLI::App& app, TrainArguments& a) {
  const char* group = "Length and samples";
  app.add_option("--epochs", a.epochs,
                 "Passes over the training set. Default 20, or as many as --steps takes. 0 without "
                 "--steps trains nothing and writes the initial state to checkpoint.safetensors")
      ->type_name("N")
      ->check(not_negative())
      ->group(group);
  app.add_option("--steps", a.steps,
                 "Stop after this many steps in all. Default 0: after the epochs")
      ->type_name("N")
      ->check(not_negative())
      ->group(group);
  app.add_option(
         "--batch", a.batch,
         "Images, or crops of them, in one step. Default 8; for gd, which is the full-batch "
         "descent of the textbooks, the whole set, unless --crop is given, or its images have "
         "different sizes or more than 256 MiB")
      ->type_name("N")
      ->group(group);
  app.add_option(
         "--images-at-once", a.images_at_once,
         "The gradient is computed of so many images of the batch after each other: of fewer it "
         "takes less memory; methods that look at curvature keep more of all images. Default 0: "
         "as suits the method, all or half; for gd with the whole set as many as have the pixels "
         "of 8 crops of 128")
      ->type_name("N")
      ->group(group);
  app.add_option(
         "--crop", a.crop,
         "Train on random crops of this size: pixels, WIDTHxHEIGHT, none (or 0) for whole images, "
         "or auto, the default: 128, or the image where that is smaller, and none for gd with the "
         "whole set. Evaluation is always on whole images")
      ->type_name("SIZE")
      ->group(group);
  app.add_option(
         "--augment", a.augment,
         "Random changes of the training images, separated by commas: flip (left to right), "
         "vflip (top to bottom), rotate (by quarters), scale=LOW:HIGH; or none. Default "
         "flip, for classifiers and gd with the whole set none. For microscope images "
         "flip,vflip,rotate is worthwhile")
      ->type_name("LIST")
      ->group(group);
  app.add_option("--samples-per-epoch", a.samples_per_epoch,
                 "Crops that make an epoch. Default: as many as have the pixels of the whole set")
      ->type_name("N")
      ->check(not_negative())
      ->group(group);
  app.add_option(
         "--patience", a.patience,
         "Stop when this many evaluations in a row were no better than the best. Default 0: "
         "never")
      ->type_name("N")
      ->group(group);
  app.add_option(
         "--seed", a.seed,
         "Of parameters, order and augmentation: the same seed gives the same bits. Default 1")
      ->type_name("N")
      ->check(not_negative())
      ->group(group);
}

void add_run_options(CLI::App& app, TrainArguments& a) {
  const char* group = "Run";
  app.add_option("--device", a.device,
                 "auto, host, cuda, cuda:1 or emulated; see curvseg info. Default auto: the first "
                 "GPU, else the host. OMP_NUM_THREADS limits the host's threads")
      ->type_name("NAME")
      ->group(group);
  app.add_option(
         "--out", a.out,
         "Folder for checkpoints, metrics and pictures. Default runs/NAME-N after the data, "
         "a new one each time; when continuing, the folder of the checkpoint")
      ->type_name("DIR")
      ->check(not_empty())
      ->group(group);
  app.add_flag("--overwrite", a.overwrite, "Replace the training that --out already holds")
      ->group(group);
  app.add_option("--eval-every", a.eval_every,
                 "Epochs between evaluations on the validation set. Default 1; 0: only at the end")
      ->type_name("N")
      ->check(not_negative())
      ->group(group);
  app.add_option("--save-every", a.save_every,
                 "Epochs between checkpoints; one is always written at the end. Default 1")
      ->type_name("N")
      ->check(not_negative())
      ->group(group);
  app.add_option(
         "--pictures", a.pictures,
         "How many overlays of validation images to write at the end, worst first. Default 8")
      ->type_name("N")
      ->check(CLI::Range(0, 10000))
      ->group(group);
  app.add_flag("--quiet", a.quiet, "Print nothing but the final table and warnings")->group(group);
  app.add_flag(
         "--json", a.json,
         "Print the lines of metrics.jsonl on stdout as they come, in place of the final table")
      ->group(group);
}

}  // namespace

void add_train_options(CLI::App& app, TrainArguments& arguments) {
  add_data_options(app, arguments);
  add_model_options(app, arguments);
  add_optimizer_options(app, arguments);
  add_length_options(app, arguments);
  add_run_options(app, arguments);
  app.footer(kTrainFooter);
}

}  // namespace curvseg::cli
