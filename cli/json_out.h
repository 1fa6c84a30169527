// JSON for machines, on stdout. Those who build it include <nlohmann/json.hpp>.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <vector>

namespace birkhoff::cli {

using Json = nlohmann::ordered_json;  // fields come out in the order in which they were set

// One line. Text that is not UTF-8 goes out with U+FFFD in place of the bad bytes.
void PrintJson(const Json& json);

// The shortest decimal that reads back as the same f32; null for what JSON cannot say.
Json JsonNumber(float value);
Json JsonNumbers(std::span<const float> values);

// A measured figure, to four significant digits; null unless finite.
Json JsonFigure(double value);

}  // namespace birkhoff::cli
