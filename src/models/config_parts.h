// What the config.json of every model family spells alike.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "birkhoff/status.h"
#include "models/json_fields.h"
#include "models/rope_frequencies.h"

namespace birkhoff::models {

// Far above any model, and low enough that no product of two or three extents overflows 64 bits.
inline constexpr std::int64_t kMaxExtent = 1 << 20;
inline constexpr std::int64_t kMaxVocab = 1 << 24;
inline constexpr std::int64_t kMaxCount = 4096;  // heads, groups, layers
inline constexpr std::int64_t kMaxPositions = (1ll << 31) - 1;
inline constexpr double kMinRopeBase = 1.001;
inline constexpr double kMaxRopeBase = 1e12;

// "model_type"; empty when there is none.
//
// Errors   kInvalidArgument  not JSON, a duplicate key, or a type that is no string
Result<std::string> ReadModelType(std::string_view json, std::string_view where);

// kUnsupported, with all of them, when model_type is not one of these.
void CheckModelType(JsonFields& f, std::initializer_list<std::string_view> supported);

struct SpecialTokens {
  std::optional<std::int64_t> bos = {};
  std::vector<std::int64_t> eos = {};
};

// bos_token_id, and eos_token_id, which may be a list.
SpecialTokens ReadTokens(JsonFields& f, std::int64_t vocab);

// factor, beta_fast, beta_slow, and the context that is extended.
YarnScaling ReadYarn(JsonFields& f, JsonFields::Names factor, JsonFields::Names original);

// One rotary embedding for all layers: rope_scaling, or else rope_parameters, with a rope_theta of
// their own or the config's.
struct RopeConfig {
  double theta = 0;
  std::optional<YarnScaling> yarn = {};
  // Of YaRN, 1 without it: cosine and sine are multiplied by rotation_scale. Models that know
  // mscale_all_dim also multiply their scores by mscale^2.
  double rotation_scale = 1;
  double mscale = 1;
};

// kUnsupported for any scaling but YaRN, kInvalidArgument for scaling that names no type.
RopeConfig ReadRope(JsonFields& f);

// max_position_embeddings; where it is missing, as far as YaRN reaches.
std::int64_t ReadMaxPositions(JsonFields& f, const std::optional<YarnScaling>& yarn);

// weight_block_size of a quantization_config: rows and columns that share one FP8 scale.
std::int32_t ReadScaleBlock(JsonFields& quantisation);

// How a checkpoint says that it is quantised. Tensors decide; this is what they cannot tell.
struct QuantisationConfig {
  std::int32_t block = 128;  // rows and columns that share one FP8 scale
  // Inputs of linear layers are meant to be FP8 as well, with a scale per token.
  bool token_activations = false;
};

// quantization_config of the methods "fp8" (blocks) and "compressed-tensors" (FP8 with a scale per
// row); nothing when it is absent. kUnsupported for any other, and for transforms, sparsity and a
// quantised cache.
QuantisationConfig ReadQuantisation(JsonFields& f);

}  // namespace birkhoff::models
