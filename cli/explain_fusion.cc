#include "explain_fusion.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

namespace birkhoff::cli {

namespace {

using graph::FusionMiss;
using graph::FusionReport;
using graph::LayerInfo;
using graph::RecipeReport;

std::string Name(graph::Phase phase) {
  switch (phase) {
    case graph::Phase::kMerge: return "merge";
    case graph::Phase::kStructure: return "structure";
    case graph::Phase::kCollective: return "collective";
    case graph::Phase::kState: return "state";
    case graph::Phase::kFoldQuant: return "fold_quant";
  }
  return "?";
}

std::string Name(graph::Numerics numerics) {
  switch (numerics) {
    case graph::Numerics::kSameBits: return "same_bits";
    case graph::Numerics::kFewerRoundings: return "fewer_roundings";
    case graph::Numerics::kReordered: return "reordered";
  }
  return "?";
}

std::string Name(FusionLevel level) { return fmt::format("O{}", static_cast<int>(level)); }

Json ToJson(const FusionMiss& miss) {
  return {{"layer", miss.layer}, {"root", miss.root},     {"step", miss.step},
          {"steps", miss.steps}, {"reason", miss.reason}, {"source", miss.place}};
}

// Layers that are built alike, in the order of the first of each.
std::vector<std::pair<std::string, std::vector<int>>> Templates(const FusionReport& report) {
  std::vector<std::pair<std::string, std::vector<int>>> kinds;
  for (const LayerInfo& layer : report.layers) {
    auto at = std::find_if(kinds.begin(), kinds.end(),
                           [&](const auto& kind) { return kind.first == layer.kind; });
    if (at == kinds.end()) at = kinds.insert(kinds.end(), {layer.kind, {}});
    at->second.push_back(layer.layer);
  }
  return kinds;
}

// What the layers of one kind have of a recipe; null where it neither expects nor finds any.
Json OfTemplate(const RecipeReport& r, const std::vector<int>& layers) {
  int matched = 0;
  int expected = 0;
  const FusionMiss* miss = nullptr;
  for (const graph::LayerMatches& l : r.layers) {
    if (std::find(layers.begin(), layers.end(), l.layer) == layers.end()) continue;
    matched += l.matched;
    expected += l.expected.value_or(0);
    if (!l.IsWrong()) continue;
    const FusionMiss* here = graph::Deepest(r, l.layer);
    if (here != nullptr && (miss == nullptr || here->step > miss->step)) miss = here;
  }
  if (matched == 0 && expected == 0) return nullptr;
  Json json = {{"matched", matched}, {"expected", r.expected ? Json(expected) : Json(nullptr)}};
  if (miss != nullptr) json["miss"] = ToJson(*miss);
  return json;
}

std::string State(const RecipeReport& r) {
  if (r.off.empty()) return "on";
  return r.off == "disabled" ? "disabled" : "off";
}

}  // namespace

std::string FusionText(const FusionReport& report) {
  std::string text =
      fmt::format("fusion {}, recipes {:016x}, {} kernels a step, {} without fusion\n",
                  Name(report.level), report.hash, report.nodes_after, report.nodes_before);
  for (const RecipeReport& r : report.recipes) {
    if (!r.off.empty()) {
      text += fmt::format("  {:<20} off      {}\n", r.name, r.off);
      continue;
    }
    const std::string found =
        r.expected ? fmt::format("{}/{}", r.matched, *r.expected) : fmt::format("{}", r.matched);
    text += fmt::format("  {:<20} {:<8} {:<16}", r.name, found, Name(r.numerics));
    if (r.saved.per_token != 0) text += fmt::format(" saves {} B a token", r.saved.per_token);
    if (r.saved.per_row != 0) text += fmt::format(" saves {} B a row of logits", r.saved.per_row);
    text += '\n';
    if (r.gated > 0) text += fmt::format("    LEFT {}: {}\n", r.gated, r.why_gated);
    const graph::LayerMatches* wrong = graph::FirstWrong(r);
    if (wrong == nullptr) continue;
    if (!r.starved_by.empty()) text += fmt::format("    starved by {}\n", r.starved_by);
    if (const FusionMiss* m = graph::Deepest(r, wrong->layer); m != nullptr)
      text += fmt::format("    MISS layer {}: step {} of {}, {}  [{}]\n", m->layer, m->step,
                          m->steps, m->reason, m->place.empty() ? "graph" : m->place);
  }
  return text;
}

Json FusionJson(const FusionReport& report) {
  Json recipes = Json::array();
  for (const RecipeReport& r : report.recipes) {
    Json layers = Json::array();
    for (const graph::LayerMatches& l : r.layers)
      layers.push_back({{"layer", l.layer},
                        {"matched", l.matched},
                        {"gated", l.gated},
                        {"expected", l.expected ? Json(*l.expected) : Json(nullptr)}});
    Json misses = Json::array();
    for (const FusionMiss& miss : r.misses) misses.push_back(ToJson(miss));
    recipes.push_back({{"name", r.name},
                       {"phase", Name(r.phase)},
                       {"level", Name(r.level)},
                       {"numerics", Name(r.numerics)},
                       {"state", State(r)},
                       {"why_off", r.off.empty() ? Json(nullptr) : Json(r.off)},
                       {"matched", r.matched},
                       {"gated", r.gated},
                       {"why_gated", r.gated > 0 ? Json(r.why_gated) : Json(nullptr)},
                       {"expected", r.expected ? Json(*r.expected) : Json(nullptr)},
                       {"saved_bytes_per_token", r.saved.per_token},
                       {"saved_bytes_per_row", r.saved.per_row},
                       {"starved_by", r.starved_by.empty() ? Json(nullptr) : Json(r.starved_by)},
                       {"layers", std::move(layers)},
                       {"misses", std::move(misses)}});
  }
  Json templates = Json::array();
  for (const auto& [kind, layers] : Templates(report)) {
    Json found = Json::object();
    for (const RecipeReport& r : report.recipes) {
      if (Json of = OfTemplate(r, layers); !of.is_null()) found[r.name] = std::move(of);
    }
    templates.push_back({{"kind", kind}, {"layers", layers}, {"recipes", std::move(found)}});
  }
  return {{"level", Name(report.level)},       {"hash", fmt::format("{:016x}", report.hash)},
          {"kernels", report.nodes_after},     {"kernels_unfused", report.nodes_before},
          {"templates", std::move(templates)}, {"recipes", std::move(recipes)}};
}

}  // namespace birkhoff::cli
