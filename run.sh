#!/usr/bin/env bash
# Installs what is missing, builds the release preset and generates text with the embedded model.
#
#   ./run.sh                      a short text from models/tiny-v4
#   ./run.sh run --help           anything else goes to `birkhoff` as it is
#
# Standard output carries only what `birkhoff` prints.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

"$root/tools/install_deps" build
(
  cd "$root"
  if [[ ! -f build/release/build.ninja ]]; then cmake --preset release; fi
  cmake --build --preset release --target birkhoff
) >&2

birkhoff="$root/build/release/cli/birkhoff"
if (($# > 0)); then exec "$birkhoff" "$@"; fi
exec "$birkhoff" run --model "$root/models/tiny-v4" --prompt "The kernel" --max-tokens 100 \
  --temperature 0.8 --top-p 0.95 --seed 7
