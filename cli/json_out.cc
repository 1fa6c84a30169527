#include "json_out.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

namespace birkhoff::cli {

namespace {

// `value` rounded to so many significant decimal digits: its JSON then has no more.
double Rounded(double value, int digits) {
  char text[40];
  std::snprintf(text, sizeof(text), "%.*g", digits, value);
  return std::strtod(text, nullptr);
}

}  // namespace

void PrintJson(const Json& json) {
  const std::string line = json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  std::fwrite(line.data(), 1, line.size(), stdout);
}

Json JsonNumber(float value) {
  if (!std::isfinite(value)) return nullptr;
  for (int digits = 6; digits < 9; ++digits) {
    const double rounded = Rounded(value, digits);
    if (static_cast<float>(rounded) == value) return rounded;
  }
  return Rounded(value, 9);
}

Json JsonNumbers(std::span<const float> values) {
  Json list = Json::array();
  for (float v : values) list.push_back(JsonNumber(v));
  return list;
}

Json JsonFigure(double value) {
  if (!std::isfinite(value)) return nullptr;
  return Rounded(value, 4);
}

}  // namespace birkhoff::cli
