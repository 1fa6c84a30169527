// Every parameter of a DeepSeek-V4 model with its name and extents, written down once: the loader
// reads along this list, and random checkpoints are made along it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "birkhoff/status.h"
#include "birkhoff/tensor.h"
#include "models/deepseek_v4/config.h"
#include "models/deepseek_v4/weights.h"
#include "models/stage.h"

namespace birkhoff::models::deepseek_v4 {

// What a release quantises, and how finely.
enum class MatrixRole {
  kPlain,   // embedding, head, router, compressor, indexer weights: BF16
  kLinear,  // FP8
  kExpert,  // MXFP4, or FP8 in the *-Base checkpoints
};

// Is shown every parameter, in the order of a forward pass. The first error ends the visit.
class ParamVisitor {
 public:
  virtual ~ParamVisitor() = default;

  // m.name is set, without ".weight"; the extents are [rows, cols].
  virtual Status Matrix(MatrixParam& m, MatrixRole role, std::int64_t rows, std::int64_t cols) = 0;

  // v.name, the whole name of the tensor, and v.shape are set.
  virtual Status Vector(VectorParam& v) = 0;

  // Routed experts: moe.experts.name is set, its matrices are empty.
  virtual Status Experts(MoeParams& moe) = 0;

  // `name` is the whole name of the tensor, [V, k].
  virtual Status Table(const std::string& name, MoeParams& moe) = 0;
};

// The model without MTP blocks, as far as it is in the stage.
Status VisitTrunk(const Config& config, const StageSpan& stage, Weights& weights,
                  ParamVisitor& visitor);

// MTP block `block`, "mtp.<block>".
Status VisitMtp(const Config& config, std::int64_t block, MtpParams& mtp, ParamVisitor& visitor);

enum class Quantisation {
  kF32,      // everything F32
  kBF16,     // matrices and norms BF16; hyper-connections, sinks and biases F32
  kRelease,  // FP8 with E8M0 scales, experts MXFP4; needs hidden and expert_width % 32 == 0
  kBase,     // FP8 with F32 scales, experts too
};

struct TensorSpec {
  std::string name = {};
  DType dtype = DType::kF32;
  Shape shape = {};
};

// The tensors of a checkpoint of this model under their official names, MTP blocks included.
std::vector<TensorSpec> ReleaseTensors(const Config& config, Quantisation quantisation);

// What they take, without listing them: the bytes of each, and at least 1 KiB for its values, its
// name and its places in tables. In double, since a config may ask for more than any integer holds.
double EstimateBytes(const Config& config, Quantisation quantisation);

}  // namespace birkhoff::models::deepseek_v4
