#include "version.h"

namespace birkhoff::cli {

const char* const kVersion = BIRKHOFF_VERSION;
const char* const kCommit = BIRKHOFF_COMMIT;

}  // namespace birkhoff::cli
