# One CMake library per folder of src/. The link list of a library is the list of folders that it may include;
# tools/check_layers holds the sources to the same list.

# Flags of every target. Contraction is off because a fused multiply-add is written where it is meant: the bits
# of a result must not depend on the compiler's choice.
add_library(birkhoff_flags INTERFACE)
target_compile_options(birkhoff_flags INTERFACE
  -Wall -Wextra -Wshadow -ffp-contract=off -fno-math-errno $<$<BOOL:${BIRKHOFF_WERROR}>:-Werror>
  # At -O3 g++ 12 sees ghosts in std::variant and in its own AVX-512 header.
  $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
target_include_directories(birkhoff_flags INTERFACE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)

# bk_library(<folder> SOURCES a.cc ... DEPENDS other folders ... PRIVATE external targets ...)
function(bk_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;PRIVATE" ${ARGN})
  add_library(birkhoff_${name} STATIC ${ARG_SOURCES})
  list(TRANSFORM ARG_DEPENDS PREPEND birkhoff_)
  target_link_libraries(birkhoff_${name} PUBLIC birkhoff_flags ${ARG_DEPENDS} PRIVATE fmt::fmt ${ARG_PRIVATE})
endfunction()

# bk_test(<folder> SOURCES a_test.cc ... DEPENDS folders ...): one test binary per mirrored folder.
function(bk_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;PRIVATE" ${ARGN})
  add_executable(${name}_test ${ARG_SOURCES})
  list(TRANSFORM ARG_DEPENDS PREPEND birkhoff_)
  target_link_libraries(${name}_test PRIVATE ${ARG_DEPENDS} ${ARG_PRIVATE} fmt::fmt GTest::gmock GTest::gtest_main)
  target_include_directories(${name}_test PRIVATE ${PROJECT_SOURCE_DIR})
  target_precompile_headers(${name}_test PRIVATE <gmock/gmock.h> <gtest/gtest.h>)  # half of a test's build time
  target_compile_definitions(${name}_test PRIVATE BIRKHOFF_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  gtest_discover_tests(${name}_test DISCOVERY_TIMEOUT 60)
endfunction()
