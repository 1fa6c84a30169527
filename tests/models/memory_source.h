// Weights in memory that a test can rename, replace and spoil.
#pragma once

#include <cstddef>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "models/weight_source.h"

namespace birkhoff::models {

class MemorySource : public WeightSource {
 public:
  struct Tensor {
    DType dtype = DType::kF32;
    Shape shape = {};
    std::vector<std::byte> bytes = {};  // 16-byte aligned by its allocator
    std::size_t offset = 0;             // of the data in `bytes`
  };

  MemorySource() = default;
  explicit MemorySource(const WeightSource& other) {
    for (const std::string& name : other.Names()) tensors[name] = Copy(*other.Find(name));
  }

  static Tensor Copy(const ConstTensorView& view) {
    Tensor t = {view.dtype, view.shape,
                std::vector<std::byte>(static_cast<std::size_t>(view.bytes()))};
    if (!t.bytes.empty()) std::memcpy(t.bytes.data(), view.data, t.bytes.size());
    return t;
  }

  template <class T>
  static Tensor Of(DType dtype, Shape shape, const std::vector<T>& values) {
    return Copy({values.data(), dtype, shape});
  }

  // Element i of a tensor that must exist.
  template <class T>
  void Set(const std::string& name, std::size_t i, T value) {
    std::memcpy(tensors.at(name).bytes.data() + i * sizeof(T), &value, sizeof(T));
  }

  void Rename(const std::string& from, const std::string& to) {
    auto node = tensors.extract(from);
    node.key() = to;
    tensors.insert(std::move(node));
  }

  std::vector<std::string> Names() const override {
    std::vector<std::string> names;
    for (const auto& [name, t] : tensors) names.push_back(name);
    return names;
  }
  Result<ConstTensorView> Find(std::string_view name) const override {
    const auto it = tensors.find(name);
    if (it == tensors.end()) return Status::NotFound(Where(name));
    const Tensor& t = it->second;
    return ConstTensorView{t.bytes.data() + t.offset, t.dtype, t.shape};
  }
  std::string Where(std::string_view name) const override { return "memory: " + std::string(name); }

  std::map<std::string, Tensor, std::less<>> tensors = {};
};

}  // namespace birkhoff::models
