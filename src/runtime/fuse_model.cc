#include "runtime/fuse_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "graph/early_rows.h"
#include "graph/passes/canonical.h"
#include "graph/passes/recipes/recipes.h"

namespace birkhoff::runtime {
namespace {

Result<graph::FusionReport> FuseGraph(const char* name, graph::Graph& graph,
                                      const std::vector<graph::LayerInfo>& layers,
                                      const FusionSettings& settings, const Device& device,
                                      std::vector<std::string>& notes) {
  graph::Canonicalise(graph);
  if (graph::TakeRowsEarly(graph) > 0) graph::Canonicalise(graph);
  Result<graph::FusionReport> report =
      graph::Fuse(graph, graph::AllRecipes(), settings, {.device = &device, .layers = layers});
  if (!report.ok()) return report.status().Annotate(name);
  if (settings.strict == FusionStrict::kWarn) {
    for (const graph::RecipeReport& r : report->recipes) {
      if (const std::string text = graph::Shortfall(r); !text.empty())
        notes.push_back(std::string(name) + ": " + text);
    }
  }
  return report;
}

const graph::RecipeReport& Of(const graph::FusionReport& report, const std::string& recipe) {
  return *std::find_if(report.recipes.begin(), report.recipes.end(),
                       [&](const graph::RecipeReport& r) { return r.name == recipe; });
}

// What was asked for by name and is nowhere in the model. A stage cannot say: another may have it.
std::vector<std::string> Missing(const ModelFusion& fusion, const FusionSettings& settings) {
  const graph::LayerInfo& around = fusion.trunk.layers.front();
  if (!around.has_embedding || !around.has_head) return {};
  std::set<std::string> asked(settings.enable.begin(), settings.enable.end());
  asked.insert(settings.only.begin(), settings.only.end());
  std::vector<std::string> missing;
  for (const std::string& name : asked) {
    const graph::RecipeReport& r = Of(fusion.trunk, name);
    if (r.matched > 0 || (fusion.draft && Of(*fusion.draft, name).matched > 0)) continue;
    missing.push_back(
        fmt::format("fusion: {} was asked for and {}", name,
                    r.off.empty() ? "matches nothing in this model" : "is off: " + r.off));
  }
  return missing;
}

}  // namespace

Result<ModelFusion> FuseModel(models::BuiltModel& model, const FusionSettings& settings,
                              const Device& device) {
  ModelFusion fusion;
  BK_ASSIGN_OR_RETURN(fusion.trunk, FuseGraph("trunk", model.trunk, model.trunk_layers, settings,
                                              device, fusion.notes));
  if (model.draft) {
    BK_ASSIGN_OR_RETURN(fusion.draft, FuseGraph("draft", *model.draft, model.draft_layers, settings,
                                                device, fusion.notes));
  }
  if (settings.strict == FusionStrict::kOff) return fusion;
  for (std::string& text : Missing(fusion, settings)) {
    if (settings.strict == FusionStrict::kError) return Status::NotFound(std::move(text));
    fusion.notes.push_back(std::move(text));
  }
  return fusion;
}

}  // namespace birkhoff::runtime
