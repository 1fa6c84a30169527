#include "models/deepseek_v4/weights.h"

#include <fmt/core.h>

#include <cstdio>
#include <cstring>
#include <map>
#include <set>
#include <utility>

#include "models/deepseek_v4/layout.h"
#include "models/deepseek_v4/names.h"
#include "models/stored_matrix.h"
#include "models/value_check.h"

namespace birkhoff::models::deepseek_v4 {
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

class Loader : public ParamVisitor {
 public:
  Loader(const Config& config, const WeightSource& source, const LoadOptions& options,
         Weights& weights)
      : c_(config), source_(source), options_(options), weights_(weights) {}

  // Brings the names of the source to the official ones.
  Status Index();

  Status Matrix(MatrixParam& m, MatrixRole role, std::int64_t rows, std::int64_t cols) override;
  Status Vector(VectorParam& v) override;
  Status Experts(MoeParams& moe) override;
  Status Table(const std::string& name, MoeParams& moe) override;

  void LoadMtp();
  void ReportUnused();

 private:
  bool Has(const std::string& name) const { return spelling_.contains(name); }
  bool WantsMtp() const { return options_.draft && c_.mtp_layers > 0; }
  // Whether a tensor belongs to an MTP block that is not read.
  bool IsLeftOutMtp(std::string_view official) const {
    return official.starts_with("mtp.") && !(WantsMtp() && official.starts_with("mtp.0."));
  }
  Result<StoredTensor> Find(const std::string& name);
  Result<std::optional<StoredTensor>> FindScale(const std::string& matrix);
  Result<WeightMatrix> Read(const StoredTensor& weight, const StoredTensor* scale,
                            std::int64_t rows, std::int64_t cols);
  Status ReadNamed(const std::string& name, std::int64_t rows, std::int64_t cols, WeightMatrix* m);
  Status FusedExperts(const std::string& name, std::int64_t parts, std::int64_t rows,
                      std::int64_t cols, std::initializer_list<std::vector<WeightMatrix>*> out);
  template <class T>
  T* Own(std::int64_t n);

  const Config& c_;
  const WeightSource& source_;
  const LoadOptions& options_;
  Weights& weights_;
  std::map<std::string, std::string, std::less<>> spelling_ = {};  // official to the source's
  std::set<std::string> used_ = {};                                // official
  std::int64_t done_bytes_ = 0;
  std::int64_t total_bytes_ = 0;
};

Status Loader::Index() {
  for (const std::string& name : source_.Names()) {
    const auto [it, fresh] = spelling_.emplace(OfficialName(name), name);
    if (!fresh) {
      return Status::InvalidArgument(fmt::format("{} and {} are two spellings of '{}'",
                                                 source_.Where(it->second), source_.Where(name),
                                                 it->first));
    }
    if (IsLeftOutMtp(it->first)) continue;
    const auto view = source_.Find(name);
    if (view.ok()) total_bytes_ += view->bytes();
  }
  return Status::Ok();
}

template <class T>
T* Loader::Own(std::int64_t n) {
  const auto bytes = static_cast<std::size_t>(n) * sizeof(T);
  weights_.storage.push_back(std::make_unique<std::byte[]>(bytes));
  return reinterpret_cast<T*>(weights_.storage.back().get());
}

Result<StoredTensor> Loader::Find(const std::string& name) {
  const auto it = spelling_.find(name);
  if (it == spelling_.end()) {
    return Status::NotFound(fmt::format("tensor '{}' is missing", name));
  }
  BK_ASSIGN_OR_RETURN(const ConstTensorView view, source_.Find(it->second));
  used_.insert(name);
  StoredTensor found = {view, source_.Where(it->second)};
  if (reinterpret_cast<std::uintptr_t>(view.data) % SizeOf(view.dtype) != 0) {
    auto* copy = Own<std::byte>(view.bytes());
    std::memcpy(copy, view.data, static_cast<std::size_t>(view.bytes()));
    found.view.data = copy;
  }
  done_bytes_ += view.bytes();
  if (options_.progress) options_.progress(done_bytes_, total_bytes_);
  return found;
}

Result<std::optional<StoredTensor>> Loader::FindScale(const std::string& matrix) {
  const std::string name = matrix + ".scale";
  if (!Has(name)) return std::optional<StoredTensor>();
  BK_ASSIGN_OR_RETURN(StoredTensor scale, Find(name));
  return std::optional(std::move(scale));
}

Result<WeightMatrix> Loader::Read(const StoredTensor& weight, const StoredTensor* scale,
                                  std::int64_t rows, std::int64_t cols) {
  BK_ASSIGN_OR_RETURN(const WeightMatrix m,
                      DescribeMatrix(weight, scale, rows, cols, c_.block_rows));
  BK_RETURN_IF_ERROR(CheckMatrixValues(m, weight, scale, options_.pool));
  return m;
}

Status Loader::ReadNamed(const std::string& name, std::int64_t rows, std::int64_t cols,
                         WeightMatrix* m) {
  BK_ASSIGN_OR_RETURN(const StoredTensor weight, Find(name + ".weight"));
  BK_ASSIGN_OR_RETURN(const auto scale, FindScale(name));
  BK_ASSIGN_OR_RETURN(*m, Read(weight, scale ? &*scale : nullptr, rows, cols));
  return Status::Ok();
}

Status Loader::Matrix(MatrixParam& m, MatrixRole, std::int64_t rows, std::int64_t cols) {
  return ReadNamed(m.name, rows, cols, &m.m);
}

Status Loader::Vector(VectorParam& v) {
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

Status Loader::Table(const std::string& name, MoeParams& moe) {
  BK_ASSIGN_OR_RETURN(const StoredTensor t, Find(name));
  const Shape expected = {c_.vocab, c_.experts_per_token};
  const DType dtype = t.view.dtype;
  if ((dtype != DType::kI64 && dtype != DType::kI32) || t.view.shape != expected) {
    return Status::InvalidArgument(fmt::format("{}: shape {} of {}, expected {} of I64 or I32",
                                               t.where, t.view.shape.ToString(), Name(dtype),
                                               expected.ToString()));
  }
  const std::int64_t n = expected.elements();
  auto* ids = Own<std::int32_t>(n);
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t id = dtype == DType::kI64 ? static_cast<const std::int64_t*>(t.view.data)[i]
                                                 : static_cast<const std::int32_t*>(t.view.data)[i];
    if (id < 0 || id >= c_.experts) {
      return Status::InvalidArgument(
          fmt::format("{}: element {} is {}, expected an expert in "
                      "[0, {})",
                      t.where, IndexText(expected, i), id, c_.experts));
    }
    ids[i] = static_cast<std::int32_t>(id);
  }
  moe.tid2eid = ids;
  return Status::Ok();
}

Status Loader::Experts(MoeParams& moe) {
  const std::string at = moe.name + ".experts.";
  const std::int64_t width = c_.expert_width;
  if (Has(at + "gate_up_proj.weight")) {
    BK_RETURN_IF_ERROR(FusedExperts(at + "gate_up_proj", 2, width, c_.hidden, {&moe.w1, &moe.w3}));
    return FusedExperts(at + "down_proj", 1, c_.hidden, width, {&moe.w2});
  }
  const auto count = static_cast<std::size_t>(c_.experts);
  moe.w1.resize(count);
  moe.w3.resize(count);
  moe.w2.resize(count);
  for (std::size_t e = 0; e < count; ++e) {
    const std::string expert = fmt::format("{}{}.", at, e);
    BK_RETURN_IF_ERROR(ReadNamed(expert + "w1", width, c_.hidden, &moe.w1[e]));
    BK_RETURN_IF_ERROR(ReadNamed(expert + "w3", width, c_.hidden, &moe.w3[e]));
    BK_RETURN_IF_ERROR(ReadNamed(expert + "w2", c_.hidden, width, &moe.w2[e]));
  }
  return Status::Ok();
}

// Splits [E, parts * rows, cols] into one matrix per expert and part.
Status Loader::FusedExperts(const std::string& name, std::int64_t parts, std::int64_t rows,
                            std::int64_t cols,
                            std::initializer_list<std::vector<WeightMatrix>*> out) {
  BK_ASSIGN_OR_RETURN(const StoredTensor weight, Find(name + ".weight"));
  BK_ASSIGN_OR_RETURN(const auto scale, FindScale(name));
  const auto is_fused = [&](const StoredTensor& t) {
    return t.view.shape.rank() == 3 && t.view.shape[0] == c_.experts &&
           t.view.shape[1] % parts == 0;
  };
  for (const StoredTensor* t : {&weight, scale ? &*scale : nullptr}) {
    if (t == nullptr || is_fused(*t)) continue;
    return Status::InvalidArgument(
        fmt::format("{}: shape {}, expected the {} experts of [{}, {}] in one tensor of rank 3",
                    t->where, t->view.shape.ToString(), c_.experts, parts * rows, cols));
  }
  for (std::int64_t e = 0; e < c_.experts; ++e) {
    std::int64_t part = 0;
    for (std::vector<WeightMatrix>* matrices : out) {
      const auto slice = [&](const StoredTensor& t) {
        const std::int64_t n = t.view.shape[1] / parts;
        return Slice(t, e, part * n, n);
      };
      const std::optional<StoredTensor> s =
          scale ? std::optional(slice(*scale)) : std::optional<StoredTensor>();
      BK_ASSIGN_OR_RETURN(const WeightMatrix m, Read(slice(weight), s ? &*s : nullptr, rows, cols));
      if (parts > 1 && m.format == WeightFormat::kFp8Block && rows % m.block_rows != 0) {
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

// A draft block helps but is not needed: one that is not as described is left out.
void Loader::LoadMtp() {
  if (!WantsMtp()) return;
  const auto first = spelling_.lower_bound("mtp.0.");
  if (first == spelling_.end() || !first->first.starts_with("mtp.0.")) {
    weights_.notes.push_back(fmt::format(
        "no drafts: the config has {} MTP blocks, the checkpoint lacks the first", c_.mtp_layers));
    return;
  }
  MtpParams mtp;
  const Status status = VisitMtp(c_, 0, mtp, *this);
  if (status.ok()) {
    weights_.mtp = std::move(mtp);
  } else {
    weights_.notes.push_back(fmt::format("mtp.0 ignored: {}", status.message()));
  }
}

void Loader::ReportUnused() {
  std::int64_t beyond = 0;
  std::int64_t mtp = 0;
  for (const auto& [official, name] : spelling_) {
    if (IsLeftOutMtp(official)) ++mtp;
    // What is left of block 0: copies of the embedding and the head, or a block with its own note.
    if (used_.contains(official) || official.starts_with("mtp.")) continue;
    std::int64_t layer = -1;
    if (std::sscanf(official.c_str(), "layers.%9ld.", &layer) == 1 && layer >= c_.layers) {
      ++beyond;
    } else {
      weights_.unused.push_back(name);
    }
  }
  if (beyond > 0) {
    weights_.notes.push_back(
        fmt::format("{} tensors of layers from {} on ignored: the config has {} layers", beyond,
                    c_.layers, c_.layers));
  }
  if (mtp > 0) {
    weights_.notes.push_back(fmt::format("{} tensors of MTP blocks ignored: {}", mtp,
                                         !options_.draft      ? "drafts are off"
                                         : c_.mtp_layers == 0 ? "the config has no MTP block"
                                                              : "only the first block drafts"));
  }
}

}  // namespace

Result<Weights> LoadWeights(const Config& config, const WeightSource& source,
                            const LoadOptions& options) {
  Weights weights;
  Loader loader(config, source, options, weights);
  BK_RETURN_IF_ERROR(loader.Index());
  BK_RETURN_IF_ERROR(VisitTrunk(config, weights, loader));
  loader.LoadMtp();
  loader.ReportUnused();
  return weights;
}

}  // namespace birkhoff::models::deepseek_v4
