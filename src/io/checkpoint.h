// The weights of a model folder: model.safetensors, or the shards that model.safetensors.index.json
// lists.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "birkhoff/status.h"
#include "birkhoff/tensor.h"
#include "io/safetensors.h"

namespace birkhoff::io {

class Checkpoint {
 public:
  // Opens and checks every file. A single model.safetensors is preferred to an index. Shards are
  // plain names in the same folder.
  //
  // Errors   kNotFound         neither file is there, or a shard of the index is missing
  //          kInvalidArgument  a malformed file or index, a shard name with a path in it, a tensor
  //                            that its shard lacks, a tensor in two shards
  //          kIoError          a file could not be read
  static Result<Checkpoint> Open(const std::string& folder);

  const std::string& folder() const { return folder_; }
  std::vector<std::string> names() const;  // sorted
  std::int64_t bytes() const;              // of all tensors

  // Views are valid as long as this object, also after a move.
  //
  // Errors   kNotFound, or kUnsupported for a dtype without a DType.
  Result<ConstTensorView> Find(std::string_view name) const;

  // The path of the file that holds the tensor; the folder when there is none.
  const std::string& FileOf(std::string_view name) const;

  // Asks the kernel to read everything ahead.
  void Prefetch() const;

  // kIoError when a file has changed its size since it was opened.
  Status CheckSizes() const;

 private:
  Status Add(const std::string& path);
  Status AddShards(const std::map<std::string, std::string>& shards, std::string_view index_path);

  std::string folder_ = {};
  std::vector<SafetensorsFile> files_ = {};
  std::map<std::string, std::size_t, std::less<>> file_of_ = {};  // tensor name to place in files_
};

}  // namespace birkhoff::io
