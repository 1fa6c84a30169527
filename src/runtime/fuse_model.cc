#include "runtime/fuse_model.h"

#include "graph/passes/canonical.h"
#include "graph/passes/recipes/recipes.h"

namespace birkhoff::runtime {
namespace {

Result<graph::FusionReport> FuseGraph(const char* name, graph::Graph& graph,
                                      const std::vector<graph::LayerInfo>& layers,
                                      const FusionSettings& settings,
                                      std::vector<std::string>& notes) {
  graph::Canonicalise(graph);
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

}  // namespace

Result<ModelFusion> FuseModel(models::BuiltModel& model, const FusionSettings& settings) {
  ModelFusion fusion;
  BK_ASSIGN_OR_RETURN(fusion.trunk,
                      FuseGraph("trunk", model.trunk, model.trunk_layers, settings, fusion.notes));
  if (model.draft) {
    BK_ASSIGN_OR_RETURN(
        fusion.draft, FuseGraph("draft", *model.draft, model.draft_layers, settings, fusion.notes));
  }
  return fusion;
}

}  // namespace birkhoff::runtime
