// Builds a graph with calls that read like a model's formulas:
//
//   const auto c = b.MhcCoeffs(X, hc, constants);
//   const Value u = b.RmsNorm(b.MhcCollapse(X, c.pre), norm, eps, DType::kBF16);
//
// The first mistake is remembered with the file and line of the call, the op, the operand, what was
// expected and what came; every later call returns values that are not valid. So a model checks
// once, at Finish().
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "birkhoff/ops/fp8.h"
#include "birkhoff/status.h"
#include "birkhoff/tensor.h"
#include "graph/graph.h"
#include "graph/operands.h"
#include "kernels/args/rope.h"

namespace birkhoff::graph {

// The place of a call, taken by default arguments.
struct Here {
  const char* file = "";
  int line = 0;

  static Here Now(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return {file, line};
  }
};

class Builder {
 public:
  // Ok, or the first mistake.
  const Status& status() const { return status_; }

  // The graph, verified.
  Result<Graph> Finish(Here here = Here::Now()) &&;

  // Labels for the nodes made while it lives. `site` is a literal.
  class Scope {
   public:
    Scope(Builder& builder, Labels labels) : builder_(builder), outer_(builder.labels_) {
      builder_.labels_ = labels;
    }
    ~Scope() { builder_.labels_ = outer_; }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Builder& builder_;
    Labels outer_ = {};
  };
  [[nodiscard]] Scope Site(std::string_view site) { return {*this, {-1, site}}; }
  [[nodiscard]] Scope Site(int layer, std::string_view site) { return {*this, {layer, site}}; }

  // What a step brings, what the model holds, what is kept per sequence. Data is kept by address
  // and not read before the first step.
  Value Input(std::string name, DType dtype, std::vector<ops::Extent> shape);
  Value Vector(std::string name, const float* data, const Shape& shape);
  Value Frequency(std::string name, std::span<const double> radians);
  Value Table(std::string name, const std::int32_t* data, std::int64_t rows, std::int64_t cols);
  Value Matrix(std::string name, const WeightMatrix* matrix);
  Value Matrices(std::string name, std::span<const WeightMatrix> experts);
  Value State(std::string name, DType dtype, std::int64_t capacity, std::int64_t width);

  // A value to be read after each step.
  void Output(std::string name, Value value, Here here = Here::Now());

  // Any op: its results, or nothing after a mistake.
  std::vector<Value> Op(const ops::OpDef& op, std::vector<Value> in, ops::Attributes attributes,
                        Here here = Here::Now());

  // The ops of ops/defs.h, where operands and results are described. Ops that write a state return
  // its next version.
  Value Add(Value a, Value b, DType out, Here here = Here::Now());
  Value Attention(const AttentionOperands& in, const AttentionConstants& constants, DType out,
                  Here here = Here::Now());
  Value Broadcast(Value x, std::int64_t copies, Here here = Here::Now());
  CompressorState Compress(const CompressOperands& in, bool overlap, bool precise, double eps,
                           Here here = Here::Now());
  Value Concat(Value a, Value b, Here here = Here::Now());
  std::pair<Value, Value> DualRmsNorm(Value x0, Value x1, Value weight0, Value weight1, double eps0,
                                      double eps1, DType out0, DType out1, Here here = Here::Now());
  Value Embedding(Value ids, Value table, DType out, Here here = Here::Now());
  Value Experts(Value x, const Routed& routed, Value w1, Value w3, Value w2, double limit,
                Here here = Here::Now());
  Value GatherRows(Value x, Value index, Here here = Here::Now());
  Value GqaAttention(Value q, Value keys, Value values, const GqaConstants& constants, DType out,
                     Here here = Here::Now());
  Value HeadLinear(Value x, Value w, bool transposed, DType out, Here here = Here::Now());
  Value IndexTopk(Value q, Value weight, Value keys, const IndexConstants& constants,
                  Here here = Here::Now());
  Value KvWrite(Value kv, Value ring, Here here = Here::Now());
  // One key head, whose values are the first channels of the keys.
  Value LatentAttention(Value q, Value latent, std::int64_t value_dim, double scale, DType out,
                        Here here = Here::Now());
  Value Linear(Value x, Value w, DType out, std::int64_t groups = 1, Here here = Here::Now());
  Value Linear(Value x, const std::vector<Value>& ws, DType out, Here here = Here::Now());
  // x_group columns of a row of xq share a scale of xs.
  Value LinearFp8(Value xq, Value xs, Value w, DType out, std::int64_t x_group,
                  Here here = Here::Now());
  MhcBoundaryResult MhcBoundary(Value x, Value streams, Value post, Value comb,
                                const MhcParameters& next, const MhcConstants& constants,
                                Value norm, double norm_eps,  // without norm: not valid
                                Here here = Here::Now());
  MhcBoundaryResult MhcBoundaryShifted(Value x, Value streams, Value post, Value comb,
                                       const MhcParameters& next, const MhcConstants& constants,
                                       Value norm, double norm_eps, Value pre,
                                       Here here = Here::Now());
  MhcCoefficients MhcCoeffs(Value streams, const MhcParameters& site, const MhcConstants& constants,
                            Here here = Here::Now());
  Value MhcCollapse(Value streams, Value pre, Here here = Here::Now());
  Value MhcHead(Value streams, const MhcParameters& head, double rms_eps, double eps,
                Here here = Here::Now());
  Value MhcPost(Value x, Value streams, Value post, Value comb, Here here = Here::Now());
  std::pair<Value, Value> MhcTail(Value x, Value streams, Value post, Value comb,
                                  const MhcParameters& head, double rms_eps, double eps, Value norm,
                                  double norm_eps, Here here = Here::Now());
  Value NormRope(Value x, Value table, Value weight, double eps, DType out,
                 RopePairing pairing = RopePairing::kAdjacent, Here here = Here::Now());
  Value NormRope(Value x, Value table, double eps, DType out,
                 RopePairing pairing = RopePairing::kAdjacent, Here here = Here::Now());
  NormRopeWriteResult NormRopeWrite(const NormRopeWriteOperands& in, double q_eps, double k_eps,
                                    DType out, RopePairing pairing, Here here = Here::Now());
  Quantised Quantise(Value x, const Fp8Kind& kind, Here here = Here::Now());
  Value Reshape(Value x, std::span<const ops::Extent> shape, Here here = Here::Now());
  Value Reshape(Value x, std::initializer_list<ops::Extent> shape, Here here = Here::Now()) {
    return Reshape(x, std::span(shape.begin(), shape.size()), here);
  }
  Value Reshape(Value x, const std::vector<ops::Extent>& shape, Here here = Here::Now());
  Value RmsNorm(Value x, Value weight, double eps, DType out, Here here = Here::Now());
  Value RmsNorm(Value x, double eps, DType out, Here here = Here::Now());  // weightless
  NormQuantised RmsNormQuantise(Value x, Value weight, double eps, DType out, const Fp8Kind& kind,
                                Here here = Here::Now());
  Value Rope(Value x, Value table, DType out, bool inverse = false,
             RopePairing pairing = RopePairing::kAdjacent, Here here = Here::Now());
  Value RopeTable(Value positions, Value frequency, bool precise, Here here = Here::Now());
  Value RopeWrite(Value c, Value k_pe, Value table, Value latent,
                  RopePairing pairing = RopePairing::kAdjacent, Here here = Here::Now());
  Routed RouteTopk(Value logits, Value bias, std::int64_t k, double scale, Here here = Here::Now());
  Routed RouteByTable(Value logits, Value table, Value ids, std::int64_t k, double scale,
                      Here here = Here::Now());
  Routed RouteSigmoid(Value logits, Value bias, const SigmoidRouting& routing,
                      Here here = Here::Now());
  // Columns of x one after another, as views.
  std::vector<Value> Split(Value x, std::initializer_list<std::int64_t> widths,
                           Here here = Here::Now());
  Value Spread(Value x, std::int64_t copies, Here here = Here::Now());
  Value Swiglu(Value gate, Value up, double limit, Here here = Here::Now());
  Quantised SwigluQuantise(Value gate, Value up, double limit, const Fp8Kind& kind,
                           Here here = Here::Now());

 private:
  Value AddValue(ValueInfo info);
  void Fail(Here here, std::string_view what, const Status& why);

  Graph graph_ = {};
  Labels labels_ = {};
  Status status_ = {};
};

}  // namespace birkhoff::graph
