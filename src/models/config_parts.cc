#include "models/config_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/strict_json.h"

namespace birkhoff::models {
namespace {

using Json = nlohmann::json;

std::string Show(const Json* value) {
  if (value == nullptr) return "missing";
  return value->dump(-1, ' ', false, Json::error_handler_t::replace);
}

// 0.1 mscale ln(factor) + 1, the temperature that YaRN gives to a context `factor` times as long.
double YarnTemperature(double factor, double mscale) {
  return factor <= 1 ? 1 : 0.1 * mscale * std::log(factor) + 1;
}

// Facts of Hugging Face's modeling_rope_utils: cosine and sine take the ratio of two temperatures
// only where mscale and mscale_all_dim are both there and not 0, else the plain temperature;
// DeepSeek-V3's scores take mscale_all_dim's wherever that is there.
void ReadYarnRope(JsonFields& f, RopeConfig& rope) {
  f.Only({"rope_type", "type"}, "yarn");
  f.Only({"truncate"}, true);
  rope.yarn = ReadYarn(f, {"factor"}, {"original_max_position_embeddings"});
  const double factor = rope.yarn->factor;
  const double mscale = f.Real({"mscale"}, 0, 100, 0.0);
  const double all_dim = f.Real({"mscale_all_dim"}, 0, 100, 0.0);
  rope.mscale = YarnTemperature(factor, all_dim);
  const bool both = mscale != 0 && all_dim != 0;
  const double rotation_scale =
      both ? YarnTemperature(factor, mscale) / rope.mscale : YarnTemperature(factor, 1);
  rope.rotation_scale = f.Real({"attention_factor"}, 0, 1e6, rotation_scale);
}

// Whether the parameters scale; `f` reads them from `object`. Without a type they do not, which is
// an error where scaling is all that they are for, or where they hold more than a base.
bool IsScaled(JsonFields& f, const Json& object, bool for_scaling_only) {
  if (const Json* type = f.Find({"rope_type", "type"})) return *type != "default";
  bool more = for_scaling_only;
  for (const auto& [key, value] : object.items()) {
    more = more || (key != "rope_theta" && key != "partial_rotary_factor" && !value.is_null());
  }
  if (more) f.Fail(StatusCode::kInvalidArgument, "'rope_type' is missing");
  return false;
}

// Like Only, of a field whose absence means something else.
void Must(JsonFields& f, std::string_view name, const Json& expected) {
  if (!f.Has(name)) {
    f.Fail(StatusCode::kUnsupported,
           fmt::format("'{}' is missing, only {} is supported", name, Show(&expected)));
  }
  f.Only({name}, expected);
}

// One group of layers of compressed-tensors: FP8 with a scale per row. A missing strategy is a
// scale per tensor.
void ReadConfigGroup(JsonFields& group, QuantisationConfig& c) {
  group.Only({"targets"}, Json::array({"Linear"}));
  group.Only({"format"}, "float-quantized");
  if (const Json* weights = group.Find({"weights"})) {
    JsonFields w(*weights, "weights");
    w.Only({"num_bits"}, 8);
    w.Only({"type"}, "float");
    Must(w, "strategy", "channel");
    w.Only({"symmetric"}, true);
    w.Only({"dynamic"}, false);
    group.Include(w);
  }
  if (const Json* activations = group.Find({"input_activations"})) {
    JsonFields a(*activations, "input_activations");
    a.Only({"num_bits"}, 8);
    a.Only({"type"}, "float");
    Must(a, "strategy", "token");
    a.Only({"symmetric"}, true);
    a.Only({"dynamic"}, true);
    c.token_activations = true;
    group.Include(a);
  }
  group.Only({"output_activations"}, nullptr);
}

void ReadCompressedTensors(JsonFields& q, QuantisationConfig& c) {
  q.Only({"format"}, "float-quantized");
  q.Only({"kv_cache_scheme"}, nullptr);
  for (const char* name : {"transform_config", "sparsity_config"}) {
    const Json* value = q.Find({name});
    if (value == nullptr || value->empty()) continue;
    q.Fail(StatusCode::kUnsupported,
           fmt::format("'{}' is {}, only an empty one is supported", name, Show(value)));
  }
  q.Strings({"ignore"});  // which layers these are the tensors tell
  const Json* groups = q.Find({"config_groups"});
  if (!q.status().ok()) return;
  if (groups == nullptr || !groups->is_object() || groups->size() != 1) {
    q.Fail(StatusCode::kUnsupported,
           fmt::format("'config_groups' is {}, expected one group of layers", Show(groups)));
    return;
  }
  JsonFields group(groups->begin().value(), groups->begin().key());
  ReadConfigGroup(group, c);
  q.Include(group);
}

}  // namespace

Result<std::string> ReadModelType(std::string_view json, std::string_view where) {
  BK_ASSIGN_OR_RETURN(const Json root, ParseStrictJson(json, where));
  const JsonFields f(root, std::string(where));
  BK_RETURN_IF_ERROR(f.status());
  const Json* type = f.Find({"model_type"});
  if (type == nullptr) return std::string();
  if (type->is_string()) return type->get<std::string>();
  return Status::InvalidArgument(
      fmt::format("{}: 'model_type' is {}, expected a string", where, Show(type)));
}

void CheckModelType(JsonFields& f, std::initializer_list<std::string_view> supported) {
  const Json* type = f.Find({"model_type"});
  const auto is_type = [type](std::string_view name) { return *type == name; };
  if (type != nullptr && std::any_of(supported.begin(), supported.end(), is_type)) return;
  f.Fail(StatusCode::kUnsupported, fmt::format("'model_type' is {}, supported: \"{}\"", Show(type),
                                               fmt::join(supported, "\", \"")));
}

SpecialTokens ReadTokens(JsonFields& f, std::int64_t vocab) {
  SpecialTokens tokens;
  if (f.Has("bos_token_id")) tokens.bos = f.Int({"bos_token_id"}, 0, vocab - 1);
  const Json* eos = f.Find({"eos_token_id"});
  if (eos != nullptr && eos->is_array()) {
    tokens.eos = f.Ints({"eos_token_id"}, 0, vocab - 1);
  } else if (eos != nullptr) {
    tokens.eos = {f.Int({"eos_token_id"}, 0, vocab - 1)};
  }
  return tokens;
}

YarnScaling ReadYarn(JsonFields& f, JsonFields::Names factor, JsonFields::Names original) {
  const YarnScaling yarn = {
      .factor = f.Real(factor, 1, 1e6),
      .original_positions = static_cast<double>(f.Int(original, 1, kMaxPositions)),
      .beta_fast = f.Real({"beta_fast"}, 0, 1e6, 32),
      .beta_slow = f.Real({"beta_slow"}, 0, 1e6, 1)};
  if (yarn.beta_slow <= 0 || yarn.beta_fast < yarn.beta_slow) {
    f.Fail(StatusCode::kInvalidArgument,
           fmt::format("'beta_fast' is {} and 'beta_slow' {}, expected 0 < beta_slow <= beta_fast",
                       yarn.beta_fast, yarn.beta_slow));
  }
  return yarn;
}

RopeConfig ReadRope(JsonFields& f) {
  RopeConfig rope;
  // Hugging Face takes rope_scaling in place of all of rope_parameters, unless it is null or empty.
  const Json* scaling = f.Find({"rope_scaling"});
  const bool older = scaling != nullptr && !scaling->empty();
  const char* name = older ? "rope_scaling" : "rope_parameters";
  if (const Json* object = f.Find({name})) {
    JsonFields parameters(*object, name);
    if (IsScaled(parameters, *object, older)) ReadYarnRope(parameters, rope);
    if (parameters.Has("rope_theta"))
      rope.theta = parameters.Real({"rope_theta"}, kMinRopeBase, kMaxRopeBase);
    f.Include(parameters);
  }
  if (rope.theta == 0) rope.theta = f.Real({"rope_theta"}, kMinRopeBase, kMaxRopeBase);
  return rope;
}

std::int64_t ReadMaxPositions(JsonFields& f, const std::optional<YarnScaling>& yarn) {
  std::optional<std::int64_t> extended;
  if (yarn) {
    const double positions = yarn->factor * yarn->original_positions;
    extended = std::llround(std::min(positions, static_cast<double>(kMaxPositions)));
  }
  return f.Int({"max_position_embeddings"}, 1, kMaxPositions, extended);
}

std::int32_t ReadScaleBlock(JsonFields& quantisation) {
  const auto block = quantisation.Ints({"weight_block_size"}, 1, kMaxExtent);
  if (!quantisation.Has("weight_block_size")) return 128;
  for (const std::int64_t size : {128, 32}) {
    if (block == std::vector<std::int64_t>{size, size}) return static_cast<std::int32_t>(size);
  }
  quantisation.Fail(StatusCode::kUnsupported,
                    fmt::format("'weight_block_size' is {}, expected [128,128] or [32,32]",
                                Show(quantisation.Find({"weight_block_size"}))));
  return 128;
}

QuantisationConfig ReadQuantisation(JsonFields& f) {
  QuantisationConfig c;
  const Json* quantisation = f.Find({"quantization_config"});
  if (quantisation == nullptr) return c;
  JsonFields q(*quantisation, "quantization_config");
  const Json* method = q.Find({"quant_method"});
  if (method != nullptr && *method == "compressed-tensors") {
    ReadCompressedTensors(q, c);
  } else if (method != nullptr && *method == "fp8") {
    q.Only({"fmt"}, "e4m3");
    q.Only({"activation_scheme"}, "dynamic");
    c.block = ReadScaleBlock(q);
  } else {
    q.Fail(StatusCode::kUnsupported,
           fmt::format("'quant_method' is {}, supported: \"fp8\", \"compressed-tensors\"",
                       Show(method)));
  }
  f.Include(q);
  return c;
}

}  // namespace birkhoff::models
