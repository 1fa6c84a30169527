#include "io/safetensors_writer.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/files.h"
#include "base/strict_json.h"

namespace birkhoff::io {
namespace {

using Json = nlohmann::json;

std::vector<const NamedTensor*> InFileOrder(std::span<const NamedTensor> tensors) {
  std::vector<const NamedTensor*> order;
  for (const NamedTensor& t : tensors) order.push_back(&t);
  std::sort(order.begin(), order.end(), [](const NamedTensor* a, const NamedTensor* b) {
    const auto size_a = SizeOf(a->view.dtype);
    const auto size_b = SizeOf(b->view.dtype);
    return size_a != size_b ? size_a > size_b : a->name < b->name;
  });
  return order;
}

// Length and JSON, as they stand at the start of the file.
Result<std::string> Header(const std::vector<const NamedTensor*>& order,
                           const std::map<std::string, std::string>& metadata) {
  Json header = Json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::int64_t offset = 0;
  for (const NamedTensor* t : order) {
    if (t->name == "__metadata__" || header.contains(t->name)) {
      return Status::InvalidArgument(fmt::format("tensor name '{}' is taken", t->name));
    }
    Json shape = Json::array();
    for (int i = 0; i < t->view.shape.rank(); ++i) shape.push_back(t->view.shape[i]);
    const std::int64_t end = offset + t->view.bytes();
    header[t->name] = {
        {"dtype", Name(t->view.dtype)}, {"shape", shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string json;
  try {
    json = header.dump();
  } catch (const Json::exception& e) {
    return Status::InvalidArgument(
        fmt::format("tensor names or metadata: {}", JsonErrorText(e.what())));
  }
  json.resize((json.size() + 7) / 8 * 8, ' ');

  std::string bytes;
  for (std::uint64_t n = json.size(), i = 0; i < 8; ++i)
    bytes.push_back(static_cast<char>(n >> (8 * i) & 0xff));
  return bytes + json;
}

}  // namespace

Status WriteSafetensors(const std::string& path, std::span<const NamedTensor> tensors,
                        const std::map<std::string, std::string>& metadata) {
  const auto order = InFileOrder(tensors);
  auto header = Header(order, metadata);
  if (!header.ok()) return header.status().Annotate(path);
  std::vector<std::span<const std::byte>> pieces = {std::as_bytes(std::span(*header))};
  for (const NamedTensor* t : order) {
    pieces.emplace_back(static_cast<const std::byte*>(t->view.data),
                        static_cast<std::size_t>(t->view.bytes()));
  }
  return WriteFileAtomically(path, pieces);
}

}  // namespace birkhoff::io
