// The up-projection of latent attention, cut into what each head takes to the query and the output.
#pragma once

#include <vector>

#include "birkhoff/status.h"
#include "models/deepseek_v3/config.h"
#include "models/deepseek_v3/weights.h"

namespace birkhoff::models::deepseek_v3 {

// With latent c, head h has the keys W_UK c and the values W_UV c. Rows of kv_b_proj, not copied:
// head h begins at row h (nope_dim + v_dim).
struct AbsorbedParams {
  std::vector<WeightMatrix> uk = {};  // H of [nope_dim, kv_lora]
  std::vector<WeightMatrix> uv = {};  // H of [v_dim, kv_lora]
};

// Errors   kUnsupported  a part that begins within a block of rows that share a scale
Result<AbsorbedParams> CutHeads(const Config& config, const AttentionParams& attention);

}  // namespace birkhoff::models::deepseek_v3
