// Reads the parameters of any model from a source of weights: finds, checks and describes them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/function_ref.h"
#include "birkhoff/status.h"
#include "models/params.h"
#include "models/stored_matrix.h"
#include "models/weight_source.h"

namespace birkhoff::models {

// Last parts of the names of a gated unit's matrices.
struct MlpNames {
  std::string_view w1 = {};
  std::string_view w3 = {};
  std::string_view w2 = {};
};

// Tensors go by the model's own names: matrix "x" is "x.weight" and, where it is quantised,
// "x.scale". dtype and shape decide how a matrix is stored, see DescribeMatrix(). Matrices are not
// copied: the source must outlive the result. All values are read once, to refuse NaN and infinity
// in weights, and scales that are NaN, infinite, zero or negative.
//
// Errors   kNotFound         a tensor is missing; the message has the model's name for it
//          kInvalidArgument  shape, dtype or value; the message names file, tensor, expected, found
class TensorLoader {
 public:
  // `block`: rows and columns that share one FP8 scale, if the shape of the scales allows. All
  // references must outlive the loader.
  TensorLoader(const WeightSource& source, const LoadOptions& options, std::int32_t block,
               LoadedParams& loaded)
      : source_(source), options_(options), block_(block), loaded_(loaded) {}

  // Lists the source. `model_name` brings a name of the source to the model's own. `left_out` says
  // of such a name why this model does not read it, or nothing: "MTP blocks ignored: ...".
  Status Index(std::string (*model_name)(std::string_view),
               FunctionRef<std::string(std::string_view)> left_out);

  bool Has(std::string_view name) const { return spelling_.contains(name); }
  bool HasAny(std::string_view prefix) const;

  Status Matrix(MatrixParam& m, std::string name, std::int64_t rows, std::int64_t cols);

  // F32, BF16 or F16, widened to f32.
  Status Vector(VectorParam& v, std::string name, const Shape& shape);

  // "<name>.<w1>" and so on.
  Status Mlp(MlpParams& p, const std::string& name, const MlpNames& parts, std::int64_t width,
             std::int64_t hidden);

  // `count` experts "<name>.<e>.<w1>" and so on, or all of them in two tensors of rank 3,
  // "<name>.gate_up_proj" and "<name>.down_proj".
  Status Experts(ExpertParams& p, std::string name, const MlpNames& parts, std::int64_t count,
                 std::int64_t width, std::int64_t hidden);

  // Any tensor, aligned to its elements.
  Result<StoredTensor> Find(const std::string& name);

  // Memory that lives as long as the parameters.
  template <class T>
  T* Own(std::int64_t n) {
    return reinterpret_cast<T*>(OwnBytes(n * static_cast<std::int64_t>(sizeof(T))));
  }

  // After the last parameter: lists what nothing read, and notes what was left out.
  void ReportUnused();

 private:
  std::byte* OwnBytes(std::int64_t n);
  Result<std::optional<StoredTensor>> FindScale(const std::string& matrix);
  Result<WeightMatrix> Read(const StoredTensor& weight, const StoredTensor* scale,
                            std::int64_t rows, std::int64_t cols);
  Status ReadNamed(const std::string& name, std::int64_t rows, std::int64_t cols, WeightMatrix* m);
  Status FusedExperts(const std::string& name, std::int64_t count, std::int64_t rows,
                      std::int64_t cols, std::initializer_list<std::vector<WeightMatrix>*> parts);

  const WeightSource& source_;
  const LoadOptions& options_;
  const std::int32_t block_;
  LoadedParams& loaded_;
  std::map<std::string, std::string, std::less<>> spelling_ = {};    // the model's to the source's
  std::set<std::string, std::less<>> used_ = {};                     // the model's
  std::vector<std::pair<std::string, std::int64_t>> left_out_ = {};  // why, how many
  std::int64_t done_bytes_ = 0;
  std::int64_t total_bytes_ = 0;
};

}  // namespace birkhoff::models
