#include "models/hugging_face_names.h"

namespace birkhoff::models {

std::string LoaderName(std::string_view name) {
  for (const std::string_view scale : {".weight_scale_inv", ".weight_scale", "_scale_inv"}) {
    if (name.ends_with(scale)) {
      return std::string(name.substr(0, name.size() - scale.size())).append(".scale");
    }
  }
  const bool fused =
      name.ends_with(".experts.gate_up_proj") || name.ends_with(".experts.down_proj");
  return std::string(name).append(fused ? ".weight" : "");
}

}  // namespace birkhoff::models
