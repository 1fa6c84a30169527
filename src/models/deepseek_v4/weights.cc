#include "models/deepseek_v4/weights.h"

#include <fmt/core.h>

#include <utility>

#include "models/deepseek_v4/layout.h"
#include "models/deepseek_v4/names.h"
#include "models/stage.h"
#include "models/tensor_loader.h"

namespace birkhoff::models::deepseek_v4 {
namespace {

class Reader : public ParamVisitor {
 public:
  Reader(const Config& config, const StageSpan& stage, const WeightSource& source,
         const LoadOptions& options, Weights& weights)
      : c_(config),
        stage_(stage),
        draft_(options.draft),
        weights_(weights),
        loader_(source, options, config.block_rows, weights) {
    stage_.embedding = stage_.embedding || WantsMtp();  // the draft block reads it too
  }

  Status Read() {
    BK_RETURN_IF_ERROR(
        loader_.Index(OfficialName, [this](std::string_view name) { return LeftOut(name); }));
    BK_RETURN_IF_ERROR(VisitTrunk(c_, stage_, weights_, *this));
    ReadMtp();
    loader_.ReportUnused();
    // What is left of block 0: copies of the embedding and the head, or a block with its own note.
    std::erase_if(weights_.unused,
                  [](const std::string& name) { return OfficialName(name).starts_with(kMtp); });
    return Status::Ok();
  }

  Status Matrix(MatrixParam& m, MatrixRole, std::int64_t rows, std::int64_t cols) override {
    return loader_.Matrix(m, m.name, rows, cols);
  }
  Status Vector(VectorParam& v) override { return loader_.Vector(v, v.name, v.shape); }
  Status Experts(MoeParams& moe) override {
    return loader_.Experts(moe.experts, moe.experts.name, {"w1", "w3", "w2"}, c_.experts,
                           c_.expert_width, c_.hidden);
  }
  Status Table(const std::string& name, MoeParams& moe) override;

 private:
  static constexpr std::string_view kMtp = "mtp.0.";

  bool WantsMtp() const { return draft_ && stage_.head && c_.mtp_layers > 0; }
  std::string LeftOut(std::string_view name) const;
  void ReadMtp();

  const Config& c_;
  StageSpan stage_;
  const bool draft_;
  Weights& weights_;
  TensorLoader loader_;
};

std::string Reader::LeftOut(std::string_view name) const {
  if (name.starts_with("mtp.")) {
    if (!draft_) return "MTP blocks ignored: drafts are off";
    if (c_.mtp_layers == 0) return "MTP blocks ignored: the config has no MTP block";
    if (!stage_.head) return LeftToOtherStages(stage_);
    return name.starts_with(kMtp) ? "" : "MTP blocks ignored: only the first block drafts";
  }
  static constexpr std::string_view kHead[] = {"hc_head_", "norm.", "head."};
  return models::LeftOut(name, {"layers.", "embed.", kHead}, stage_);
}

Status Reader::Table(const std::string& name, MoeParams& moe) {
  BK_ASSIGN_OR_RETURN(const StoredTensor t, loader_.Find(name));
  const Shape expected = {c_.vocab, c_.experts_per_token};
  const DType dtype = t.view.dtype;
  if ((dtype != DType::kI64 && dtype != DType::kI32) || t.view.shape != expected) {
    return Status::InvalidArgument(fmt::format("{}: shape {} of {}, expected {} of I64 or I32",
                                               t.where, t.view.shape.ToString(), Name(dtype),
                                               expected.ToString()));
  }
  const std::int64_t n = expected.elements();
  auto* ids = loader_.Own<std::int32_t>(n);
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

// A draft block helps but is not needed: one that is not as described is left out.
void Reader::ReadMtp() {
  if (!WantsMtp()) return;
  if (!loader_.HasAny(kMtp)) {
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

}  // namespace

Result<Weights> LoadWeights(const Config& config, const WeightSource& source,
                            const LoadOptions& options) {
  BK_ASSIGN_OR_RETURN(const StageSpan stage,
                      FindStage(options.first_layer, options.end_layer, config.layers));
  Weights weights;
  BK_RETURN_IF_ERROR(Reader(config, stage, source, options, weights).Read());
  return weights;
}

}  // namespace birkhoff::models::deepseek_v4
