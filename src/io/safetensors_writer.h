// Writes safetensors files, for tools and tests.
#pragma once

#include <map>
#include <span>
#include <string>

#include "birkhoff/status.h"
#include "birkhoff/tensor.h"

namespace birkhoff::io {

struct NamedTensor {
  std::string name = {};
  ConstTensorView view = {};
};

// Replaces `path` as a whole. Tensors are laid out by falling element size, then by name, after a
// header padded to 8 bytes, so that each is aligned to its element.
//
// Errors   kInvalidArgument  a name twice, "__metadata__", or not UTF-8
//          kIoError          the file could not be written; `path` is unchanged
Status WriteSafetensors(const std::string& path, std::span<const NamedTensor> tensors,
                        const std::map<std::string, std::string>& metadata = {});

}  // namespace birkhoff::io
