#include "io/checkpoint.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "base/files.h"
#include "base/strict_json.h"

namespace birkhoff::io {
namespace {

constexpr std::string_view kSingle = "model.safetensors";
constexpr std::string_view kIndex = "model.safetensors.index.json";
constexpr std::size_t kMaxIndexBytes = 256u << 20;

// An index may come from anywhere and must not reach outside its folder.
bool IsPlainName(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == name.npos &&
         name.find('\\') == name.npos && name.find('\0') == name.npos;
}

// Tensor to shard, in the order of the tensors.
Result<std::map<std::string, std::string>> ReadIndex(const std::string& path) {
  BK_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxIndexBytes));
  BK_ASSIGN_OR_RETURN(const nlohmann::json index, ParseStrictJson(text, path));
  const auto map = index.is_object() ? index.find("weight_map") : index.end();
  if (!index.is_object() || map == index.end() || !map->is_object()) {
    return Status::InvalidArgument(fmt::format("{}: no object 'weight_map'", path));
  }
  std::map<std::string, std::string> shards;
  for (const auto& [tensor, shard] : map->items()) {
    if (!shard.is_string() || !IsPlainName(shard.get_ref<const std::string&>())) {
      return Status::InvalidArgument(fmt::format(
          "{}: shard of tensor '{}' is {}, expected the name of a file beside it", path, tensor,
          shard.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)));
    }
    shards.emplace(tensor, shard.get<std::string>());
  }
  return shards;
}

}  // namespace

Status Checkpoint::Add(const std::string& path) {
  BK_ASSIGN_OR_RETURN(SafetensorsFile file, SafetensorsFile::Open(path));
  for (const TensorEntry& t : file.tensors()) {
    const auto [it, fresh] = file_of_.emplace(t.name, files_.size());
    if (!fresh) {
      return Status::InvalidArgument(
          fmt::format("{}: tensor '{}' is also in {}", path, t.name, files_[it->second].path()));
    }
  }
  files_.push_back(std::move(file));
  return Status::Ok();
}

Status Checkpoint::AddShards(const std::map<std::string, std::string>& shards,
                             std::string_view index_path) {
  std::map<std::string, std::size_t> opened;
  for (const auto& [tensor, shard] : shards) {
    const auto [it, fresh] = opened.emplace(shard, files_.size());
    if (fresh) {
      const Status status = Add(folder_ + "/" + shard);
      if (status.code() == StatusCode::kNotFound) {
        return Status::NotFound(fmt::format(
            "{}: tensor '{}' is in shard '{}', which does not exist", index_path, tensor, shard));
      }
      BK_RETURN_IF_ERROR(status);
    }
    const auto found = file_of_.find(tensor);
    if (found == file_of_.end() || found->second != it->second) {
      return Status::InvalidArgument(
          fmt::format("{}: tensor '{}' is not in its shard '{}'", index_path, tensor, shard));
    }
  }
  return Status::Ok();
}

Result<Checkpoint> Checkpoint::Open(const std::string& folder) {
  Checkpoint checkpoint;
  checkpoint.folder_ = folder;
  const Status single = checkpoint.Add(fmt::format("{}/{}", folder, kSingle));
  if (single.ok()) return checkpoint;
  if (single.code() != StatusCode::kNotFound) return single;

  const std::string index = fmt::format("{}/{}", folder, kIndex);
  const auto shards = ReadIndex(index);
  if (shards.status().code() == StatusCode::kNotFound) {
    return Status::NotFound(fmt::format("{}: neither {} nor {} is there", folder, kSingle, kIndex));
  }
  BK_RETURN_IF_ERROR(shards.status());
  BK_RETURN_IF_ERROR(checkpoint.AddShards(*shards, index));
  return checkpoint;
}

std::vector<std::string> Checkpoint::names() const {
  std::vector<std::string> names;
  names.reserve(file_of_.size());
  for (const auto& [name, file] : file_of_) names.push_back(name);
  return names;
}

std::int64_t Checkpoint::bytes() const {
  std::int64_t total = 0;
  for (const SafetensorsFile& file : files_) {
    for (const TensorEntry& t : file.tensors()) total += static_cast<std::int64_t>(t.end - t.begin);
  }
  return total;
}

Result<ConstTensorView> Checkpoint::Find(std::string_view name) const {
  const auto it = file_of_.find(name);
  if (it == file_of_.end())
    return Status::NotFound(fmt::format("{}: no tensor '{}'", folder_, name));
  return files_[it->second].Find(name);
}

const std::string& Checkpoint::FileOf(std::string_view name) const {
  const auto it = file_of_.find(name);
  return it == file_of_.end() ? folder_ : files_[it->second].path();
}

void Checkpoint::Prefetch() const {
  for (const SafetensorsFile& file : files_) file.Prefetch();
}

Status Checkpoint::CheckSizes() const {
  for (const SafetensorsFile& file : files_) BK_RETURN_IF_ERROR(file.CheckSize());
  return Status::Ok();
}

}  // namespace birkhoff::io
