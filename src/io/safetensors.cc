#include "io/safetensors.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <utility>

#include "io/safetensors_header.h"

namespace birkhoff::io {
namespace {

Status Error(std::string_view where, std::string_view message) {
  return Status::InvalidArgument(fmt::format("{}: {}", where, message));
}

// Returns the length of the header after checking the 8 bytes that state it.
Result<std::size_t> HeaderLength(std::span<const std::byte> file, std::string_view where) {
  if (file.size() < 8) {
    return Error(where,
                 fmt::format("not a safetensors file: {} bytes, at least 8 expected", file.size()));
  }
  std::uint64_t length = 0;
  for (int i = 7; i >= 0; --i)
    length = length << 8 | std::to_integer<std::uint64_t>(file[static_cast<std::size_t>(i)]);
  if (length == 0) return Error(where, "the header has length 0");
  if (length > kMaxSafetensorsHeader) {
    return Error(where, fmt::format("the header has length {}, the limit is {}", length,
                                    kMaxSafetensorsHeader));
  }
  if (length > file.size() - 8) {
    return Error(
        where, fmt::format("the header has length {}, but only {} bytes follow: truncated?", length,
                           file.size() - 8));
  }
  return static_cast<std::size_t>(length);
}

// Checks that the tensors, sorted by position, cover [0, data_size) without hole or overlap.
Status CheckCover(const std::vector<TensorEntry>& tensors, std::size_t data_size,
                  std::string_view where) {
  std::size_t end = 0;
  const TensorEntry* previous = nullptr;
  for (const TensorEntry& t : tensors) {
    if (t.begin != end) {
      const std::string after =
          previous == nullptr ? "the header" : fmt::format("tensor '{}'", previous->name);
      return Error(where,
                   fmt::format("tensor '{}': begins at byte {} of the data, but {} ends at {}: {}",
                               t.name, t.begin, after, end, t.begin < end ? "overlap" : "hole"));
    }
    end = t.end;
    previous = &t;
  }
  if (end != data_size) {
    return Error(
        where,
        fmt::format("{} trailing bytes after the last tensor, which ends at byte {} of the data",
                    data_size - end, end));
  }
  return Status::Ok();
}

}  // namespace

Result<SafetensorsHeader> ParseSafetensors(std::span<const std::byte> file,
                                           std::string_view where) {
  BK_ASSIGN_OR_RETURN(const std::size_t length, HeaderLength(file, where));
  const std::size_t data_begin = 8 + length;
  const std::size_t data_size = file.size() - data_begin;
  const std::string_view json(reinterpret_cast<const char*>(file.data()) + 8, length);
  auto parsed = ParseHeaderJson(json, data_size);
  if (!parsed.ok()) return parsed.status().Annotate(where);
  SafetensorsHeader header = std::move(parsed).value();

  std::sort(header.tensors.begin(), header.tensors.end(),
            [](const TensorEntry& a, const TensorEntry& b) {
              return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
            });
  BK_RETURN_IF_ERROR(CheckCover(header.tensors, data_size, where));
  for (TensorEntry& t : header.tensors) {
    t.begin += data_begin;
    t.end += data_begin;
  }
  return header;
}

Result<SafetensorsFile> SafetensorsFile::Open(const std::string& path) {
  SafetensorsFile file;
  BK_ASSIGN_OR_RETURN(file.file_, MappedFile::Open(path));
  BK_ASSIGN_OR_RETURN(file.header_, ParseSafetensors(file.file_.bytes(), path));
  for (std::size_t i = 0; i < file.header_.tensors.size(); ++i) {
    file.index_.emplace(file.header_.tensors[i].name, i);
  }
  return file;
}

Result<ConstTensorView> SafetensorsFile::Find(std::string_view name) const {
  const auto it = index_.find(name);
  if (it == index_.end()) return Status::NotFound(fmt::format("{}: no tensor '{}'", path(), name));
  const TensorEntry& t = header_.tensors[it->second];
  if (!t.dtype) {
    return Status::Unsupported(
        fmt::format("{}: tensor '{}': dtype {} is not supported", path(), name, t.dtype_name));
  }
  return ConstTensorView{file_.bytes().data() + t.begin, *t.dtype, t.shape};
}

}  // namespace birkhoff::io
