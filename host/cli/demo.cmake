# What the command needs to know of the build, and the target run-demo: it builds the command,
# trains on the built-in data and writes pictures to runs/demo in the source folder.
target_compile_definitions(curvseg_command PRIVATE
  $<$<BOOL:${CURVSEG_EMULATED}>:CURVSEG_HAS_EMULATED>
  $<$<BOOL:${CURVSEG_HAS_CUDA}>:CURVSEG_HAS_CUDA>)

# Nothing in the command itself takes time; its header-only dependencies compile twice as fast so.
target_compile_options(curvseg_command PRIVATE $<$<CONFIG:Release>:-O1>)

add_custom_target(run-demo
  COMMAND $<TARGET_FILE:curvseg_command> demo --out runs/demo
  WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
  COMMENT "Training on builtin:cells; pictures go to runs/demo"
  USES_TERMINAL VERBATIM)
add_dependencies(run-demo curvseg_command)
