// The parameters of a DeepSeek-V4 model, under the official names: "layers.3.attn.wq_a".
//
// N layers, d hidden, n streams, H heads of D, G output groups, r compress ratio of the layer,
// E experts of width I, k experts per token, V vocabulary.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "birkhoff/status.h"
#include "models/deepseek_v4/config.h"
#include "models/params.h"
#include "models/weight_source.h"

namespace birkhoff::models::deepseek_v4 {

struct HcParams {
  VectorParam fn = {};     // [n (n + 2), n d]; of the head [n, n d]
  VectorParam base = {};   // [n (n + 2)];      of the head [n]
  VectorParam scale = {};  // [3];              of the head [1]
};

// c = 2 when r = 4 (overlapping pools), else 1; width is D, inside the indexer index_dim.
struct CompressorParams {
  MatrixParam wkv = {};    // [c width, d]
  MatrixParam wgate = {};  // [c width, d]
  VectorParam ape = {};    // [r, c width]
  VectorParam norm = {};   // [width]
};

struct IndexerParams {
  MatrixParam wq_b = {};          // [index_heads index_dim, q_lora]
  MatrixParam weights_proj = {};  // [index_heads, d]
  CompressorParams compressor = {};
};

struct AttentionParams {
  MatrixParam wq_a = {};     // [q_lora, d]
  VectorParam q_norm = {};   // [q_lora]
  MatrixParam wq_b = {};     // [H D, q_lora]
  MatrixParam wkv = {};      // [D, d]
  VectorParam kv_norm = {};  // [D]
  VectorParam sink = {};     // [H]
  MatrixParam wo_a = {};     // [G o_lora, H D / G]: group g is rows g o_lora .. (g + 1) o_lora - 1
  MatrixParam wo_b = {};     // [d, G o_lora]
  std::optional<CompressorParams> compressor = {};  // r > 0
  std::optional<IndexerParams> indexer = {};        // r = 4
};

struct MoeParams {
  std::string name = {};                  // "layers.3.ffn"
  MatrixParam gate = {};                  // [E, d]
  std::optional<VectorParam> bias = {};   // [E], top-k layers
  const std::int32_t* tid2eid = nullptr;  // [V, k] expert ids, hash layers; else null
  ExpertParams experts = {};
  MlpParams shared = {};
};

struct LayerParams {
  VectorParam attn_norm = {};  // [d]
  VectorParam ffn_norm = {};   // [d]
  HcParams hc_attn = {};
  HcParams hc_ffn = {};
  AttentionParams attn = {};
  MoeParams ffn = {};
};

struct MtpParams {
  MatrixParam e_proj = {};  // [d, d]
  MatrixParam h_proj = {};  // [d, d]
  VectorParam enorm = {};   // [d]
  VectorParam hnorm = {};   // [d]
  VectorParam norm = {};    // [d]
  HcParams hc_head = {};
  LayerParams layer = {};  // a ratio-0 layer with a biased router
};

struct Weights : LoadedParams {
  MatrixParam embed = {};  // [V, d]
  MatrixParam head = {};   // [V, d]
  VectorParam norm = {};   // [d]
  HcParams hc_head = {};
  std::vector<LayerParams> layers = {};  // [N]
  std::optional<MtpParams> mtp = {};     // block 0, the one that drafts
};

// Reads every parameter of the stage, see TensorLoader. Official and Hugging Face names are
// accepted, also mixed; so are fused experts (gate_up_proj, down_proj).
//
// A draft block that is absent, or is not the one of this architecture, is left out with a note.
// Tensors of other MTP blocks, of layers beyond the last and of other stages are left out, with one
// note for each kind.
//
// Errors   those of TensorLoader, with official names
Result<Weights> LoadWeights(const Config& config, const WeightSource& source,
                            const LoadOptions& options = {});

}  // namespace birkhoff::models::deepseek_v4
