#include "models/deepseek_v4/layout.h"

#include <fmt/core.h>

#include <algorithm>
#include <cassert>
#include <utility>

namespace birkhoff::models::deepseek_v4 {
namespace {

// Names and extents of the parts of a model, handed to the visitor.
class Walk {
 public:
  Walk(const Config& config, ParamVisitor& visitor) : c_(config), v_(visitor) {}

  Status Trunk(const StageSpan& stage, Weights& w) {
    if (stage.embedding)
      BK_RETURN_IF_ERROR(Matrix(w.embed, "embed", MatrixRole::kPlain, c_.vocab, c_.hidden));
    w.layers.resize(static_cast<std::size_t>(c_.layers));
    for (std::int64_t i = stage.first; i < stage.end; ++i) {
      BK_RETURN_IF_ERROR(
          Layer(w.layers[static_cast<std::size_t>(i)], fmt::format("layers.{}.", i), i));
    }
    if (!stage.head) return Status::Ok();
    BK_RETURN_IF_ERROR(HcHead(w.hc_head, "hc_head"));
    BK_RETURN_IF_ERROR(Vector(w.norm, "norm.weight", {c_.hidden}));
    return Matrix(w.head, "head", MatrixRole::kPlain, c_.vocab, c_.hidden);
  }

  Status Mtp(MtpParams& p, std::int64_t block) {
    const std::string at = fmt::format("mtp.{}.", block);
    BK_RETURN_IF_ERROR(Vector(p.enorm, at + "enorm.weight", {c_.hidden}));
    BK_RETURN_IF_ERROR(Vector(p.hnorm, at + "hnorm.weight", {c_.hidden}));
    BK_RETURN_IF_ERROR(Linear(p.e_proj, at + "e_proj", c_.hidden, c_.hidden));
    BK_RETURN_IF_ERROR(Linear(p.h_proj, at + "h_proj", c_.hidden, c_.hidden));
    BK_RETURN_IF_ERROR(Layer(p.layer, at, c_.layers + block));
    BK_RETURN_IF_ERROR(HcHead(p.hc_head, at + "hc_head"));
    return Vector(p.norm, at + "norm.weight", {c_.hidden});
  }

 private:
  Status Matrix(MatrixParam& m, std::string name, MatrixRole role, std::int64_t rows,
                std::int64_t cols) {
    m.name = std::move(name);
    return v_.Matrix(m, role, rows, cols);
  }

  Status Linear(MatrixParam& m, std::string name, std::int64_t rows, std::int64_t cols) {
    return Matrix(m, std::move(name), MatrixRole::kLinear, rows, cols);
  }

  Status Vector(VectorParam& v, std::string name, Shape shape) {
    v.name = std::move(name);
    v.shape = shape;
    return v_.Vector(v);
  }

  Status Hc(HcParams& p, const std::string& at, std::int64_t rows, std::int64_t scales) {
    BK_RETURN_IF_ERROR(Vector(p.fn, at + "_fn", {rows, c_.hc_mult * c_.hidden}));
    BK_RETURN_IF_ERROR(Vector(p.base, at + "_base", {rows}));
    return Vector(p.scale, at + "_scale", {scales});
  }

  Status HcSite(HcParams& p, const std::string& at) {
    return Hc(p, at, c_.hc_mult * (c_.hc_mult + 2), 3);
  }
  Status HcHead(HcParams& p, const std::string& at) { return Hc(p, at, c_.hc_mult, 1); }

  Status Compressor(CompressorParams& p, const std::string& at, std::int64_t ratio,
                    std::int64_t width) {
    const std::int64_t wide = (ratio == 4 ? 2 : 1) * width;
    BK_RETURN_IF_ERROR(Matrix(p.wkv, at + "wkv", MatrixRole::kPlain, wide, c_.hidden));
    BK_RETURN_IF_ERROR(Matrix(p.wgate, at + "wgate", MatrixRole::kPlain, wide, c_.hidden));
    BK_RETURN_IF_ERROR(Vector(p.ape, at + "ape", {ratio, wide}));
    return Vector(p.norm, at + "norm.weight", {width});
  }

  Status Indexer(IndexerParams& p, const std::string& at, std::int64_t ratio) {
    BK_RETURN_IF_ERROR(Linear(p.wq_b, at + "wq_b", c_.index_heads * c_.index_dim, c_.q_lora));
    BK_RETURN_IF_ERROR(
        Matrix(p.weights_proj, at + "weights_proj", MatrixRole::kPlain, c_.index_heads, c_.hidden));
    return Compressor(p.compressor, at + "compressor.", ratio, c_.index_dim);
  }

  Status Attention(AttentionParams& p, const std::string& at, std::int64_t layer) {
    const std::int64_t width = c_.heads * c_.head_dim;
    const std::int64_t low = c_.o_groups * c_.o_lora;
    BK_RETURN_IF_ERROR(Linear(p.wq_a, at + "wq_a", c_.q_lora, c_.hidden));
    BK_RETURN_IF_ERROR(Vector(p.q_norm, at + "q_norm.weight", {c_.q_lora}));
    BK_RETURN_IF_ERROR(Linear(p.wq_b, at + "wq_b", width, c_.q_lora));
    BK_RETURN_IF_ERROR(Linear(p.wkv, at + "wkv", c_.head_dim, c_.hidden));
    BK_RETURN_IF_ERROR(Vector(p.kv_norm, at + "kv_norm.weight", {c_.head_dim}));
    const std::int64_t ratio = c_.Ratio(layer);
    if (ratio > 0) {
      BK_RETURN_IF_ERROR(
          Compressor(p.compressor.emplace(), at + "compressor.", ratio, c_.head_dim));
    }
    if (c_.HasIndexer(layer)) {
      BK_RETURN_IF_ERROR(Indexer(p.indexer.emplace(), at + "indexer.", ratio));
    }
    BK_RETURN_IF_ERROR(Vector(p.sink, at + "attn_sink", {c_.heads}));
    BK_RETURN_IF_ERROR(Linear(p.wo_a, at + "wo_a", low, width / c_.o_groups));
    return Linear(p.wo_b, at + "wo_b", c_.hidden, low);
  }

  Status Moe(MoeParams& p, const std::string& name, std::int64_t layer) {
    p.name = name;
    BK_RETURN_IF_ERROR(Matrix(p.gate, name + ".gate", MatrixRole::kPlain, c_.experts, c_.hidden));
    if (c_.IsHashRouted(layer)) {
      BK_RETURN_IF_ERROR(v_.Table(name + ".gate.tid2eid", p));
    } else {
      BK_RETURN_IF_ERROR(Vector(p.bias.emplace(), name + ".gate.bias", {c_.experts}));
    }
    p.experts.name = name + ".experts";
    BK_RETURN_IF_ERROR(v_.Experts(p));
    const std::string shared = name + ".shared_experts.";
    BK_RETURN_IF_ERROR(Linear(p.shared.w1, shared + "w1", c_.expert_width, c_.hidden));
    BK_RETURN_IF_ERROR(Linear(p.shared.w3, shared + "w3", c_.expert_width, c_.hidden));
    return Linear(p.shared.w2, shared + "w2", c_.hidden, c_.expert_width);
  }

  Status Layer(LayerParams& p, const std::string& at, std::int64_t layer) {
    BK_RETURN_IF_ERROR(HcSite(p.hc_attn, at + "hc_attn"));
    BK_RETURN_IF_ERROR(Vector(p.attn_norm, at + "attn_norm.weight", {c_.hidden}));
    BK_RETURN_IF_ERROR(Attention(p.attn, at + "attn.", layer));
    BK_RETURN_IF_ERROR(HcSite(p.hc_ffn, at + "hc_ffn"));
    BK_RETURN_IF_ERROR(Vector(p.ffn_norm, at + "ffn_norm.weight", {c_.hidden}));
    return Moe(p.ffn, at + "ffn", layer);
  }

  const Config& c_;
  ParamVisitor& v_;
};

// Writes down the tensors instead of reading them. No visit fails.
class Lister : public ParamVisitor {
 public:
  Lister(const Config& config, Quantisation quantisation) : c_(config), q_(quantisation) {}

  std::vector<TensorSpec> Take() { return std::move(specs_); }

  Status Matrix(MatrixParam& m, MatrixRole role, std::int64_t rows, std::int64_t cols) override {
    AddMatrix(m.name, role, rows, cols);
    return Status::Ok();
  }

  Status Vector(VectorParam& v) override {
    const bool norm = v.name.ends_with(".weight");
    Add(v.name, norm && q_ != Quantisation::kF32 ? DType::kBF16 : DType::kF32, v.shape);
    return Status::Ok();
  }

  Status Experts(MoeParams& moe) override {
    for (std::int64_t e = 0; e < c_.experts; ++e) AddExpert(moe, e);
    return Status::Ok();
  }

  Status Table(const std::string& name, MoeParams&) override {
    Add(name, DType::kI64, {c_.vocab, c_.experts_per_token});
    return Status::Ok();
  }

 protected:
  void AddExpert(const MoeParams& moe, std::int64_t e) {
    const std::string at = fmt::format("{}.{}.", moe.experts.name, e);
    AddMatrix(at + "w1", MatrixRole::kExpert, c_.expert_width, c_.hidden);
    AddMatrix(at + "w3", MatrixRole::kExpert, c_.expert_width, c_.hidden);
    AddMatrix(at + "w2", MatrixRole::kExpert, c_.hidden, c_.expert_width);
  }

  const Config& c_;

 private:
  virtual void Add(std::string name, DType dtype, Shape shape) {
    specs_.push_back({std::move(name), dtype, shape});
  }

  void AddMatrix(const std::string& name, MatrixRole role, std::int64_t rows, std::int64_t cols) {
    const std::string weight = name + ".weight";
    const std::string scale = name + ".scale";
    if (q_ == Quantisation::kF32) {
      Add(weight, DType::kF32, {rows, cols});
    } else if (q_ == Quantisation::kBF16 || role == MatrixRole::kPlain) {
      Add(weight, DType::kBF16, {rows, cols});
    } else if (q_ == Quantisation::kRelease && role == MatrixRole::kExpert) {
      Add(weight, DType::kI8, {rows, cols / 2});
      Add(scale, DType::kF8E8M0, {rows, cols / 32});
    } else {
      const DType type = q_ == Quantisation::kBase ? DType::kF32 : DType::kF8E8M0;
      Add(weight, DType::kF8E4M3, {rows, cols});
      Add(scale, type,
          {(rows + c_.block_rows - 1) / c_.block_rows, (cols + c_.block_cols - 1) / c_.block_cols});
    }
  }

  Quantisation q_ = Quantisation::kF32;
  std::vector<TensorSpec> specs_ = {};
};

// Adds up sizes instead. One expert stands for all of its layer.
class Sizer final : public Lister {
 public:
  using Lister::Lister;

  double bytes() const { return bytes_; }

  Status Experts(MoeParams& moe) override {
    copies_ = static_cast<double>(c_.experts);
    AddExpert(moe, 0);
    copies_ = 1;
    return Status::Ok();
  }

 private:
  void Add(std::string, DType dtype, Shape shape) override {
    auto bytes = static_cast<double>(SizeOf(dtype));
    for (int d = 0; d < shape.rank(); ++d) bytes *= static_cast<double>(shape[d]);
    bytes_ += copies_ * std::max(bytes, 1024.0);
  }

  double copies_ = 1;
  double bytes_ = 0;
};

Status Visit(const Config& config, ParamVisitor& visitor) {
  Weights weights;
  BK_RETURN_IF_ERROR(VisitTrunk(config, WholeModel(config.layers), weights, visitor));
  for (std::int64_t j = 0; j < config.mtp_layers; ++j) {
    MtpParams mtp;
    BK_RETURN_IF_ERROR(VisitMtp(config, j, mtp, visitor));
  }
  return Status::Ok();
}

}  // namespace

Status VisitTrunk(const Config& config, const StageSpan& stage, Weights& weights,
                  ParamVisitor& visitor) {
  return Walk(config, visitor).Trunk(stage, weights);
}

Status VisitMtp(const Config& config, std::int64_t block, MtpParams& mtp, ParamVisitor& visitor) {
  return Walk(config, visitor).Mtp(mtp, block);
}

std::vector<TensorSpec> ReleaseTensors(const Config& config, Quantisation quantisation) {
  Lister lister(config, quantisation);
  [[maybe_unused]] const Status status = Visit(config, lister);
  assert(status.ok());
  return lister.Take();
}

double EstimateBytes(const Config& config, Quantisation quantisation) {
  Sizer sizer(config, quantisation);
  [[maybe_unused]] const Status status = Visit(config, sizer);
  assert(status.ok());
  return sizer.bytes();
}

}  // namespace birkhoff::models::deepseek_v4
