# `cmake --build … --target run-demo`: builds the command, trains on the built-in data, writes
# pictures to runs/demo in the source folder.
add_custom_target(run-demo
  COMMAND $<TARGET_FILE:curvseg_command> demo --out ${PROJECT_SOURCE_DIR}/runs/demo
  WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
  COMMENT "Training on builtin:cells; pictures go to runs/demo"
  USES_TERMINAL VERBATIM)
