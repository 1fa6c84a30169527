// The parameters of a DeepSeek-V4 model: matrices where the checkpoint maps them, vectors in f32.
//
// N layers, d hidden, n streams, H heads of D, G output groups, r compress ratio of the layer,
// E experts of width I, k experts per token, V vocabulary.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "birkhoff/status.h"
#include "birkhoff/tensor.h"
#include "kernels/args/weight_matrix.h"
#include "models/deepseek_v4/config.h"
#include "models/weight_source.h"

namespace birkhoff {
class ThreadPool;
}

namespace birkhoff::models::deepseek_v4 {

// Names are the official ones, whatever the checkpoint's spelling: "layers.3.attn.wq_a".
struct MatrixParam {
  std::string name = {};
  WeightMatrix m = {};
};

struct VectorParam {
  std::string name = {};
  const float* data = nullptr;  // [shape], finite
  Shape shape = {};
};

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

struct ExpertParams {
  MatrixParam w1 = {};  // [I, d] gate
  MatrixParam w3 = {};  // [I, d] up
  MatrixParam w2 = {};  // [d, I] down
};

struct MoeParams {
  std::string name = {};                  // "layers.3.ffn"
  MatrixParam gate = {};                  // [E, d]
  std::optional<VectorParam> bias = {};   // [E], top-k layers
  const std::int32_t* tid2eid = nullptr;  // [V, k] expert ids, hash layers; else null
  // [E] each, contiguous: the shapes of ExpertParams. Experts may differ in format.
  std::vector<WeightMatrix> w1 = {};
  std::vector<WeightMatrix> w3 = {};
  std::vector<WeightMatrix> w2 = {};
  ExpertParams shared = {};
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

// Movable, not copyable: the params point into `storage` and into the source.
struct Weights {
  MatrixParam embed = {};  // [V, d]
  MatrixParam head = {};   // [V, d]
  VectorParam norm = {};   // [d]
  HcParams hc_head = {};
  std::vector<LayerParams> layers = {};  // [N]
  std::optional<MtpParams> mtp = {};     // block 0, the one that drafts

  std::vector<std::string> unused = {};  // tensors that nothing read, in the checkpoint's spelling
  std::vector<std::string> notes = {};   // what a user should know: "mtp.0 ignored: ..."

  // Converted vectors and tables, and copies of matrices that their file left misaligned.
  std::vector<std::unique_ptr<std::byte[]>> storage = {};
};

struct LoadOptions {
  // Called after each tensor with the bytes found so far and the bytes of all tensors.
  std::function<void(std::int64_t done, std::int64_t total)> progress = {};
  ThreadPool* pool = nullptr;  // checks large tensors with many threads; may be null
  bool draft = true;           // read the first MTP block, if there is one
};

// Finds, checks and describes every parameter. Official and Hugging Face names are accepted, also
// mixed; so are fused experts (gate_up_proj, down_proj). Per matrix, dtype and shape decide:
//   BF16, F16, F32   [rows, cols]
//   F8_E4M3          [rows, cols] with scales [ceil(rows/b), ceil(cols/b)] of F8_E8M0, U8 or F32
//   I8, U8 (MXFP4)   [rows, cols / 2] with scales [rows, cols / 32] of F8_E8M0 or U8
// Matrices are not copied: `source` must outlive the result. All values are read once, to refuse
// NaN and infinity in weights, and scales that are NaN, infinite, zero or negative.
//
// A draft block that is absent, or is not the one of this architecture, is left out with a note.
// Tensors of other MTP blocks and of layers beyond the last are left out, with one note for each
// kind.
//
// Errors   kNotFound         a tensor is missing; the message has its official name
//          kInvalidArgument  shape, dtype or value; the message names file, tensor, expected, found
Result<Weights> LoadWeights(const Config& config, const WeightSource& source,
                            const LoadOptions& options = {});

}  // namespace birkhoff::models::deepseek_v4
