#!/usr/bin/env bash
# Installs what is missing, builds the dev preset and runs the whole suite.
#
#   ./test.sh                     everything
#   ./test.sh -R Tokenizer        arguments go to ctest (names are case sensitive)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

tools/install_deps test
if [[ ! -f build/dev/build.ninja ]]; then cmake --preset dev; fi
cmake --build --preset dev
ctest --preset dev --no-tests=error -j "$(nproc)" "$@"
