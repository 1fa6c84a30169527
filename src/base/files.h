// Whole files: small ones read into memory, results written so that no reader sees half of one.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "birkhoff/status.h"

namespace birkhoff {

// "`path`: cannot `what`: <meaning of errno>"; kNotFound for a missing file, else kIoError.
Status ErrnoStatus(std::string_view path, std::string_view what, int error);

// Errors   kNotFound, kIoError; kOutOfRange when the file has more than max_bytes.
Result<std::string> ReadFile(const std::string& path, std::size_t max_bytes);

// Writes the pieces one after the other beside `path`, syncs and renames: `path` is afterwards the
// old file or the whole new one, whatever happens in between.
Status WriteFileAtomically(const std::string& path,
                           std::span<const std::span<const std::byte>> pieces);

}  // namespace birkhoff
