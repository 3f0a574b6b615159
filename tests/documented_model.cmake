# Writes what docs/adding.md says of a model of one's own, as it stands there, for the tests to build:
# OUT/mlp2.c, OUT/models.c (MODELS with the word more), OUT/shape.inc (the row for SHAPES of test_engine.c).
#   cmake -DSOURCE=ROOT -DOUT=FOLDER -P documented_model.cmake
file(READ "${SOURCE}/docs/adding.md" page)

# The text from `first` on, to the end of its block of code, less the indentation.
function(quote_block first out)
  string(FIND "${page}" "   ${first}" start)
  if(start EQUAL -1)
    message(FATAL_ERROR "docs/adding.md has no block that begins with '${first}'")
  endif()
  string(SUBSTRING "${page}" ${start} -1 block)
  string(FIND "${block}" "\n   ```" end)
  math(EXPR length "${end} - 2") # with the last line's end
  string(SUBSTRING "${block}" 3 ${length} block)
  string(REPLACE "\n   " "\n" block "${block}")
  file(WRITE "${OUT}/${out}" "${block}")
endfunction()

quote_block("// Model `mlp2`" mlp2.c)
quote_block("{GROUP \"group: S3\\nmodel: mlp2" shape.inc)

if(NOT page MATCHES "`src/model/models.c`: `ENTRY\\(mlp2\\)` after the others in `MODELS`")
  message(FATAL_ERROR "docs/adding.md does not say what to write into models.c")
endif()
file(READ "${SOURCE}/src/model/models.c" models)
string(REGEX REPLACE "(#define MODELS\\(ENTRY\\)[^\n]*)" "\\1 ENTRY(mlp2)" more "${models}")
if(more STREQUAL models)
  message(FATAL_ERROR "src/model/models.c has no list MODELS")
endif()
file(WRITE "${OUT}/models.c" "${more}")
