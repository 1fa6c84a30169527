// The JSON part of a safetensors file, tensor by tensor. ParseSafetensors() is what readers call.
#pragma once

#include <cstddef>
#include <string_view>

#include "birkhoff/status.h"
#include "io/safetensors.h"

namespace birkhoff::io {

// Checks every tensor by itself: fields, dtype, shape, and offsets within data_size bytes of data.
// The entries come in the order of the text, with offsets that count from the start of the data.
Result<SafetensorsHeader> ParseHeaderJson(std::string_view json, std::size_t data_size);

}  // namespace birkhoff::io
