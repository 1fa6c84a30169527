#include "runtime/fuse_model.h"

#include <fmt/format.h>

#include <utility>

#include "graph/early_rows.h"
#include "graph/passes/canonical.h"
#include "graph/passes/recipes/recipes.h"

namespace birkhoff::runtime {
namespace {

Result<graph::FusionReport> FuseGraph(const char* name, graph::Graph& graph,
                                      const std::vector<graph::LayerInfo>& layers,
                                      const FusionSettings& settings,
                                      std::vector<std::string>& notes) {
  graph::Canonicalise(graph);
  if (graph::TakeRowsEarly(graph) > 0) graph::Canonicalise(graph);
  Result<graph::FusionReport> report =
      graph::Fuse(graph, graph::AllRecipes(), settings, {.layers = layers});
  if (!report.ok()) return report.status().Annotate(name);
  if (settings.strict == FusionStrict::kWarn) {
    for (const graph::RecipeReport& r : report->recipes) {
      if (const std::string text = graph::Shortfall(r); !text.empty())
        notes.push_back(std::string(name) + ": " + text);
    }
  }
  return report;
}

int Matched(const graph::FusionReport& report, const std::string& recipe) {
  for (const graph::RecipeReport& r : report.recipes) {
    if (r.name == recipe) return r.matched;
  }
  return 0;
}

// What was asked for by name and is nowhere in the model.
std::vector<std::string> Missing(const ModelFusion& fusion, const FusionSettings& settings) {
  std::vector<std::string> missing;
  for (const auto* names : {&settings.enable, &settings.only}) {
    for (const std::string& name : *names) {
      if (Matched(fusion.trunk, name) > 0 || (fusion.draft && Matched(*fusion.draft, name) > 0))
        continue;
      missing.push_back(
          fmt::format("fusion: {} was asked for and matches nothing in this model", name));
    }
  }
  return missing;
}

}  // namespace

Result<ModelFusion> FuseModel(models::BuiltModel& model, const FusionSettings& settings) {
  ModelFusion fusion;
  BK_ASSIGN_OR_RETURN(fusion.trunk,
                      FuseGraph("trunk", model.trunk, model.trunk_layers, settings, fusion.notes));
  if (model.draft) {
    BK_ASSIGN_OR_RETURN(
        fusion.draft, FuseGraph("draft", *model.draft, model.draft_layers, settings, fusion.notes));
  }
  if (settings.strict == FusionStrict::kOff) return fusion;
  for (std::string& text : Missing(fusion, settings)) {
    if (settings.strict == FusionStrict::kError) return Status::NotFound(std::move(text));
    fusion.notes.push_back(std::move(text));
  }
  return fusion;
}

}  // namespace birkhoff::runtime
