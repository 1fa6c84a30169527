#include "models/tensor_loader.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "models/value_check.h"

namespace birkhoff::models {
namespace {

// A row range of one matrix of a fused [E, R, C] tensor.
StoredTensor Slice(const StoredTensor& fused, std::int64_t matrix, std::int64_t first,
                   std::int64_t rows) {
  const Shape& shape = fused.view.shape;
  const std::int64_t row_bytes = shape[2] * static_cast<std::int64_t>(SizeOf(fused.view.dtype));
  StoredTensor slice = fused;
  slice.view.data =
      static_cast<const std::byte*>(fused.view.data) + (matrix * shape[1] + first) * row_bytes;
  slice.view.shape = {rows, shape[2]};
  slice.where += fmt::format("[{}, {}:{}]", matrix, first, first + rows);
  return slice;
}

}  // namespace

Status TensorLoader::Index(std::string (*model_name)(std::string_view),
                           FunctionRef<std::string(std::string_view)> left_out) {
  for (const std::string& name : source_.Names()) {
    const auto [it, fresh] = spelling_.emplace(model_name(name), name);
    if (!fresh) {
      return Status::InvalidArgument(fmt::format("{} and {} are two spellings of '{}'",
                                                 source_.Where(it->second), source_.Where(name),
                                                 it->first));
    }
  }
  for (auto it = spelling_.begin(); it != spelling_.end();) {
    const std::string why = left_out(it->first);
    if (why.empty()) {
      const auto view = source_.Find(it->second);
      if (view.ok()) total_bytes_ += view->bytes();
      ++it;
      continue;
    }
    const auto same = std::find_if(left_out_.begin(), left_out_.end(),
                                   [&](const auto& entry) { return entry.first == why; });
    if (same == left_out_.end()) {
      left_out_.emplace_back(why, 1);
    } else {
      ++same->second;
    }
    it = spelling_.erase(it);
  }
  return Status::Ok();
}

bool TensorLoader::HasAny(std::string_view prefix) const {
  const auto first = spelling_.lower_bound(prefix);
  return first != spelling_.end() && first->first.starts_with(prefix);
}

std::byte* TensorLoader::OwnBytes(std::int64_t n) {
  loaded_.storage.push_back(std::make_unique<std::byte[]>(static_cast<std::size_t>(n)));
  return loaded_.storage.back().get();
}

Result<StoredTensor> TensorLoader::Find(const std::string& name) {
  const auto it = spelling_.find(name);
  if (it == spelling_.end()) {
    return Status::NotFound(fmt::format("tensor '{}' is missing", name));
  }
  BK_ASSIGN_OR_RETURN(const ConstTensorView view, source_.Find(it->second));
  used_.insert(name);
  StoredTensor found = {view, source_.Where(it->second)};
  if (reinterpret_cast<std::uintptr_t>(view.data) % SizeOf(view.dtype) != 0) {
    std::byte* copy = OwnBytes(view.bytes());
    std::memcpy(copy, view.data, static_cast<std::size_t>(view.bytes()));
    found.view.data = copy;
  }
  done_bytes_ += view.bytes();
  if (options_.progress) options_.progress(done_bytes_, total_bytes_);
  return found;
}

Result<std::optional<StoredTensor>> TensorLoader::FindScale(const std::string& matrix) {
  const std::string name = matrix + ".scale";
  if (!Has(name)) return std::optional<StoredTensor>();
  BK_ASSIGN_OR_RETURN(StoredTensor scale, Find(name));
  if (scale.view.dtype == DType::kBF16) {
    BK_ASSIGN_OR_RETURN(scale, AsF32(scale, Own<float>(scale.view.shape.elements())));
  }
  return std::optional(std::move(scale));
}

Result<WeightMatrix> TensorLoader::Read(const StoredTensor& weight, const StoredTensor* scale,
                                        std::int64_t rows, std::int64_t cols) {
  BK_ASSIGN_OR_RETURN(const WeightMatrix m, DescribeMatrix(weight, scale, rows, cols, block_));
  BK_RETURN_IF_ERROR(CheckMatrixValues(m, weight, scale, options_.pool));
  return m;
}

Status TensorLoader::ReadNamed(const std::string& name, std::int64_t rows, std::int64_t cols,
                               WeightMatrix* m) {
  BK_ASSIGN_OR_RETURN(const StoredTensor weight, Find(name + ".weight"));
  BK_ASSIGN_OR_RETURN(const auto scale, FindScale(name));
  BK_ASSIGN_OR_RETURN(*m, Read(weight, scale ? &*scale : nullptr, rows, cols));
  return Status::Ok();
}

Status TensorLoader::Matrix(MatrixParam& m, std::string name, std::int64_t rows,
                            std::int64_t cols) {
  m.name = std::move(name);
  return ReadNamed(m.name, rows, cols, &m.m);
}

Status TensorLoader::Vector(VectorParam& v, std::string name, const Shape& shape) {
  v.name = std::move(name);
  v.shape = shape;
  BK_ASSIGN_OR_RETURN(const StoredTensor t, Find(v.name));
  if (t.view.shape != v.shape) {
    return Status::InvalidArgument(fmt::format("{}: shape {}, expected {}", t.where,
                                               t.view.shape.ToString(), v.shape.ToString()));
  }
  const std::int64_t n = v.shape.elements();
  auto* values = Own<float>(n);
  BK_RETURN_IF_ERROR(AsF32(t, values).status());
  if (const std::int64_t bad = FindNonFinite(DType::kF32, values, n, nullptr); bad >= 0) {
    return Status::InvalidArgument(fmt::format("{}: element {} is {}, expected a finite number",
                                               t.where, IndexText(v.shape, bad), values[bad]));
  }
  v.data = values;
  return Status::Ok();
}

Status TensorLoader::Mlp(MlpParams& p, const std::string& name, const MlpNames& parts,
                         std::int64_t width, std::int64_t hidden) {
  BK_RETURN_IF_ERROR(Matrix(p.w1, fmt::format("{}.{}", name, parts.w1), width, hidden));
  BK_RETURN_IF_ERROR(Matrix(p.w3, fmt::format("{}.{}", name, parts.w3), width, hidden));
  return Matrix(p.w2, fmt::format("{}.{}", name, parts.w2), hidden, width);
}

Status TensorLoader::Experts(ExpertParams& p, std::string name, const MlpNames& parts,
                             std::int64_t count, std::int64_t width, std::int64_t hidden) {
  p.name = std::move(name);
  const std::string gate_up = p.name + ".gate_up_proj";
  if (Has(gate_up + ".weight")) {
    BK_RETURN_IF_ERROR(FusedExperts(gate_up, count, width, hidden, {&p.w1, &p.w3}));
    return FusedExperts(p.name + ".down_proj", count, hidden, width, {&p.w2});
  }
  const auto n = static_cast<std::size_t>(count);
  p.w1.resize(n);
  p.w3.resize(n);
  p.w2.resize(n);
  for (std::size_t e = 0; e < n; ++e) {
    const auto of = [&](std::string_view part) { return fmt::format("{}.{}.{}", p.name, e, part); };
    BK_RETURN_IF_ERROR(ReadNamed(of(parts.w1), width, hidden, &p.w1[e]));
    BK_RETURN_IF_ERROR(ReadNamed(of(parts.w3), width, hidden, &p.w3[e]));
    BK_RETURN_IF_ERROR(ReadNamed(of(parts.w2), hidden, width, &p.w2[e]));
  }
  return Status::Ok();
}

// Splits [E, parts * rows, cols] into one matrix per expert and part.
Status TensorLoader::FusedExperts(const std::string& name, std::int64_t count, std::int64_t rows,
                                  std::int64_t cols,
                                  std::initializer_list<std::vector<WeightMatrix>*> parts) {
  const auto n = static_cast<std::int64_t>(parts.size());
  BK_ASSIGN_OR_RETURN(const StoredTensor weight, Find(name + ".weight"));
  BK_ASSIGN_OR_RETURN(const auto scale, FindScale(name));
  const auto is_fused = [&](const StoredTensor& t) {
    return t.view.shape.rank() == 3 && t.view.shape[0] == count && t.view.shape[1] % n == 0;
  };
  for (const StoredTensor* t : {&weight, scale ? &*scale : nullptr}) {
    if (t == nullptr || is_fused(*t)) continue;
    return Status::InvalidArgument(
        fmt::format("{}: shape {}, expected the {} experts of [{}, {}] in one tensor of rank 3",
                    t->where, t->view.shape.ToString(), count, n * rows, cols));
  }
  for (std::int64_t e = 0; e < count; ++e) {
    std::int64_t part = 0;
    for (std::vector<WeightMatrix>* matrices : parts) {
      const auto slice = [&](const StoredTensor& t) {
        const std::int64_t r = t.view.shape[1] / n;
        return Slice(t, e, part * r, r);
      };
      const std::optional<StoredTensor> s =
          scale ? std::optional(slice(*scale)) : std::optional<StoredTensor>();
      BK_ASSIGN_OR_RETURN(const WeightMatrix m, Read(slice(weight), s ? &*s : nullptr, rows, cols));
      if (n > 1 && m.format == WeightFormat::kFp8Block && rows % m.block_rows != 0) {
        return Status::InvalidArgument(
            fmt::format("{}: {} rows of an expert are no multiple of the scale's {}: a block would "
                        "belong to two matrices",
                        weight.where, rows, m.block_rows));
      }
      matrices->push_back(m);
      ++part;
    }
  }
  return Status::Ok();
}

void TensorLoader::ReportUnused() {
  for (const auto& [name, spelling] : spelling_) {
    if (!used_.contains(name)) loaded_.unused.push_back(spelling);
  }
  for (const auto& [why, count] : left_out_) {
    loaded_.notes.push_back(fmt::format("{} tensors of {}", count, why));
  }
}

}  // namespace birkhoff::models
